//! Builds the test components in other languages, `host/tests/guests/languages`, with the tools of those languages.
//!
//! Each takes about ten seconds, and is built only if its source, the WIT or its tools have changed. The builder for
//! JavaScript depends on jco; the oldest version that it accepts is pinned, because later ones add packages that nothing
//! here uses.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use xtask::{
    command::{TaskError, file_error},
    process::Process,
    target, tools, workspace,
};

/// How long a build may take.
const LIMIT: Duration = Duration::from_secs(300);
/// The version of WASI in the world of these components: the JavaScript engine exports its handler under this version. Hosts
/// with a later version accept it.
const WASI: &str = "0.2.10";

/// Builds the components into `components/languages`.
pub(crate) fn components() -> Result<(), TaskError> {
    let requirements = tools::requirements();
    let python = tools::python("contract-venv", &requirements)?;

    let source = sources().join("javascript");
    let packages = tools::npm("languages-npm", &source, &python)?;
    let handler = source.join("handler.js");
    build("javascript", &[&handler, &source.join("package-lock.json")], |wit, component| {
        let mut command = tools::node_program(&packages.join(".bin/componentize-js"), &python);
        command.arg(&handler).arg("--wit").arg(wit).args(["--world-name", "handler", "--out"]).arg(component);
        command
    })?;

    let source = sources().join("python");
    build("python", &[&source.join("handler.py"), &requirements], |wit, component| {
        let mut command = Command::new(python.with_file_name("componentize-py"));
        // Two interfaces are named `types`. The tool's own helpers need this one under that name.
        let name = format!("wasi:http/types@{WASI}=types");
        command.arg("--wit-path").arg(wit).args(["--quiet", "--world", "everything"]);
        command.args(["--import-interface-name", &name, "componentize", "--python-path"]).arg(&source);
        // With this variable, the tool would put the packages of the environment into the component.
        command.arg("handler").arg("--output").arg(component).env_remove("VIRTUAL_ENV");
        command
    })
}

/// Builds one component. `command` gets the folder of the WIT and the path of the component.
fn build(
    name: &str,
    sources: &[&Path],
    command: impl FnOnce(&Path, &Path) -> Command,
) -> Result<(), TaskError> {
    let world = self::sources().join("world.wit");
    let folder = target().join("components/languages").join(name);
    let own = [Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/languages.rs")), &world];
    tools::rebuild_if_changed(&folder, &[sources, &own].concat(), || {
        let wit = folder.join("wit");
        fs::create_dir_all(&wit)
            .and_then(|()| orders_wit::write_wasi_to(&wit.join("deps"), WASI))
            .and_then(|()| fs::copy(&world, wit.join("world.wit")))
            .map_err(|error| file_error(&wit, &error))?;
        Process::run(command(&wit, &folder.join("component.wasm")).current_dir(&folder), LIMIT)
    })
}

fn sources() -> PathBuf {
    workspace().join("host/tests/guests/languages")
}
