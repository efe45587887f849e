//! `cargo xtask image`: builds the container image really, without a registry, and holds it to what docs/container-image.md
//! says of it: size, user, no shell, labels; and that another build of the same commit is the same image.

mod bases;
mod measure;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;

use crate::{
    command::{Failed, ask, failed},
    components,
    containers::{self, finish, program},
    workspace,
};

/// How it is built.
#[derive(Args)]
pub(crate) struct Options {
    /// Build it once only, and do not see whether a second build is the same
    #[arg(long)]
    once: bool,
}

/// The name of the image.
pub(crate) const NAME: &str = "localhost/orders:built";
/// The name of the second build.
const AGAIN: &str = "localhost/orders:again";

/// What the configuration of the image has to say.
const CONFIGURATION: [(&str, &str); 5] = [
    ("{{.Docker.Config.User}}", "65532:65532"),
    ("{{.Docker.Config.Entrypoint}}", "[/app/orders-host]"),
    ("{{.Docker.Config.Cmd}}", "[serve]"),
    ("{{.Docker.Config.Healthcheck.Test}}", "[CMD /app/orders-host healthcheck]"),
    (r#"{{index .Docker.Config.Labels "org.opencontainers.image.licenses"}}"#, "Apache-2.0"),
];
/// Names that shells go by.
const SHELLS: [&str; 9] = ["ash", "bash", "busybox", "csh", "dash", "ksh", "sh", "toybox", "zsh"];

/// Builds and checks it.
///
/// # Errors
///
/// [`Failed`] with what is not as it should be.
pub(crate) fn check(options: &Options) -> Result<(), Failed> {
    build()?;
    configuration()?;
    let root = Mounted::new(NAME)?;
    no_shell(&root.path)?;
    runs(&root, &components::hash(&components::orders()?)?)?;
    let digest = measure::sizes(NAME, &root.path)?;
    drop(root);
    if options.once {
        return Ok(());
    }
    build_as(AGAIN, &["--no-cache"])?;
    let again = measure::digest(AGAIN)?;
    println!("the first build   {digest}\nthe second build  {again}");
    if digest != again {
        return Err(Failed("two builds of the same commit are two images".into()));
    }
    Ok(())
}

/// Builds the image, of layers that are there already where nothing has changed.
///
/// # Errors
///
/// [`Failed`] if it does not build.
pub(crate) fn build() -> Result<(), Failed> {
    containers::prepare(&containers::BUILDING)?;
    bases::make()?;
    build_as(NAME, &["--layers"])
}

fn build_as(name: &str, options: &[&str]) -> Result<(), Failed> {
    let script = workspace().join("deploy/build-image");
    let mut command = program(&script.to_string_lossy());
    command.env("ORDERS_BUILDER", "buildah").arg(name).args(options);
    for (argument, base) in [("BUILD_BASE", bases::BUILD), ("RUN_BASE", bases::RUN)] {
        command.arg("--build-arg").arg(format!("{argument}={base}"));
    }
    finish(&mut command)
}

/// What the image says of itself.
fn configuration() -> Result<(), Failed> {
    let commit = ask(Command::new("git").current_dir(workspace()).args(["rev-parse", "HEAD"]))?;
    let revision = r#"{{index .Docker.Config.Labels "org.opencontainers.image.revision"}}"#;
    for (what, wanted) in CONFIGURATION.into_iter().chain([(revision, commit.as_str())]) {
        let found = ask(program("buildah").args(["inspect", "--type", "image", "--format", what, NAME]))?;
        if found != wanted {
            return Err(Failed(format!("{what} of the image is {found}, and should be {wanted}")));
        }
    }
    Ok(())
}

/// That nothing in the image could be started but the host.
fn no_shell(root: &Path) -> Result<(), Failed> {
    let mut names = BTreeSet::new();
    for (path, _) in files(root)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        if SHELLS.contains(&name.as_str()) || ["bin", "sbin"].contains(&&*folder.to_string_lossy()) {
            return Err(Failed(format!("the image has a program beside the host: {}", path.display())));
        }
        names.insert(name);
    }
    for wanted in ["orders-host", "orders.cwasm", "ca-certificates.crt"] {
        if !names.contains(wanted) {
            return Err(Failed(format!("the image has no {wanted}")));
        }
    }
    Ok(())
}

/// That the program runs where there is no library, and that it loads the component of this hash: the one that is built,
/// and tested, outside.
fn runs(root: &Mounted, hash: &str) -> Result<(), Failed> {
    let inspected = ask(program("buildah")
        .args(["run", "--isolation", "chroot", "--user", "65532:65532", &root.container, "--"])
        .args(["/app/orders-host", "inspect", "--trust-compiled", "/app/orders.cwasm"]))?;
    println!("{inspected}");
    if inspected.lines().any(|line| line.split_whitespace().eq(["sha256", hash])) {
        return Ok(());
    }
    Err(Failed(format!("the image has another component than the one that is built outside, {hash}")))
}

/// All files below a folder, without following links, and their sizes in bytes.
fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>, Failed> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| failed(&folder, &error))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let metadata = fs::symlink_metadata(&path).map_err(|error| failed(&path, &error))?;
            if metadata.is_dir() {
                folders.push(path);
            } else {
                found.push((path, metadata.len()));
            }
        }
    }
    Ok(found)
}

/// The files of an image, mounted for as long as this is there.
struct Mounted {
    container: String,
    path: PathBuf,
}

impl Mounted {
    fn new(image: &str) -> Result<Self, Failed> {
        let container = ask(program("buildah").args(["from", "--pull-never", image]))?;
        let mut mounted = Self { container, path: PathBuf::new() };
        mounted.path = ask(program("buildah").args(["mount", &mounted.container]))?.into();
        Ok(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = ask(program("buildah").args(["rm", &self.container]));
    }
}
