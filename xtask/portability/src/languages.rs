//! Builds components of other languages than Rust: `host/tests/guests/languages`, by the tools of their own people.
//!
//! Each takes some ten seconds, and is built only if its source, the WIT or its tools have changed. Of what the builder
//! for JavaScript needs, the oldest `jco` that it accepts is pinned: later ones bring packages that nothing here uses.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use xtask::{
    command::{Failed, failed},
    process::Process,
    target, tools, workspace,
};

/// How long building one may take.
const BUILD: Duration = Duration::from_secs(300);
/// The version of WASI in their world: that of the JavaScript engine, which has its handler by that name. A host that has
/// a later one has this too.
const WASI: &str = "0.2.10";

/// Builds them into `components/languages`.
///
/// # Errors
///
/// [`Failed`] if a tool cannot be installed, or one does not build.
pub(crate) fn components() -> Result<(), Failed> {
    let python = tools::python("contract-venv", &tools::requirements())?;
    javascript(&python)?;
    self::python(&python)
}

fn javascript(python: &Path) -> Result<(), Failed> {
    let source = sources().join("javascript");
    let packages = tools::npm("languages-npm", &source, python)?;
    let handler = source.join("handler.js");
    build("javascript", &[&handler, &source.join("package-lock.json")], |wit, component| {
        let program = packages.join(".bin/componentize-js");
        let mut command = tools::node_program(&program, python);
        command.arg(&handler).arg("--wit").arg(wit).args(["--world-name", "handler", "--out"]).arg(component);
        command
    })
}

fn python(python: &Path) -> Result<(), Failed> {
    let source = sources().join("python");
    build("python", &[&source.join("handler.py"), &tools::requirements()], |wit, component| {
        let mut command = Command::new(python.with_file_name("componentize-py"));
        // Two interfaces have this name; it is the one that the tool's own helpers mean.
        let name = format!("wasi:http/types@{WASI}=types");
        command.arg("--wit-path").arg(wit).args(["--quiet", "--world", "everything"]);
        command.args(["--import-interface-name", &name, "componentize", "--python-path"]).arg(&source);
        // Of the environment it would take packages into the component.
        command.arg("handler").arg("--output").arg(component).env_remove("VIRTUAL_ENV");
        command
    })
}

/// Builds one component with the command that is given the folder of the WIT and the file to write.
fn build(name: &str, sources: &[&Path], command: impl FnOnce(&Path, &Path) -> Command) -> Result<(), Failed> {
    let world = self::sources().join("world.wit");
    let folder = target().join("components/languages").join(name);
    let own = [Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/languages.rs")), &world];
    tools::unless_made(&folder, &[sources, &own].concat(), || {
        let wit = folder.join("wit");
        fs::create_dir_all(&wit)
            .and_then(|()| orders_wit::write_wasi_to(&wit.join("deps"), WASI))
            .and_then(|()| fs::copy(&world, wit.join("world.wit")))
            .map_err(|error| failed(&wit, &error))?;
        Process::run(command(&wit, &folder.join("component.wasm")).current_dir(&folder), BUILD)
    })
}

fn sources() -> PathBuf {
    workspace().join("host/tests/guests/languages")
}
