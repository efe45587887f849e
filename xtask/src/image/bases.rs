//! Local images in the place of the ones that the Dockerfile builds on, which no registry gives here: `deploy/bases`.

use std::{env, fs, path::Path, process::Command};

use crate::{
    command::{Failed, ask, failed, output},
    containers::{self, finish, program},
    tools, workspace,
};

/// What the program is built in.
pub(crate) const BUILD: &str = "localhost/orders-build-base";
/// What it runs in.
pub(crate) const RUN: &str = "localhost/orders-run-base";
/// The release of Debian in both, as in the images whose place they take.
const DEBIAN: &str = "trixie";
/// Where Debian keeps what it trusts.
const TRUST: &str = "/etc/ssl/certs";

/// Makes both, unless they are there and of the same toolchain and description.
///
/// # Errors
///
/// [`Failed`] if one cannot be made.
pub(crate) fn make() -> Result<(), Failed> {
    let rustc = |arguments: &[&str]| ask(Command::new("rustc").current_dir(workspace()).args(arguments));
    let sysroot = rustc(&["--print", "sysroot"])?;
    // A toolchain may be a link to another one.
    let toolchain = fs::canonicalize(&sysroot).map_err(|error| failed(Path::new(&sysroot), &error))?;
    let release = rustc(&["--version", "--verbose"])?;
    let line = |name: &str| {
        let found = release.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        found.ok_or_else(|| Failed(format!("rustc --version does not say {name}")))
    };
    let (version, machine) = (line("release: ")?, line("host: ")?);
    let rustup = ask(Command::new("which").arg("rustup"))?;
    let rustup = Path::new(&rustup).parent().unwrap_or(Path::new("/"));
    let target = format!("{}-unknown-linux-musl", env::consts::ARCH);
    finish(Command::new("rustup").current_dir(workspace()).args(["target", "add", &target]))?;

    let folder = containers::folder().join("bases");
    let described = ["build", "run"].map(|name| workspace().join(format!("deploy/bases/{name}.Dockerfile")));
    let [build, run] = &described;
    if !exists(BUILD) || !exists(RUN) {
        let _ = fs::remove_dir_all(&folder);
    }
    tools::unless_made(&folder, &[build, run, &workspace().join("rust-toolchain.toml")], || {
        finish(
            Command::new("mmdebstrap")
                .args(["--variant=minbase", "--include=ca-certificates,gcc,libc6-dev", DEBIAN])
                .arg(folder.join("debian.tar")),
        )?;
        let context = |name: &str, folder: &Path| format!("{name}={}", folder.display());
        finish(
            builder(build, BUILD)
                .args(["--build-arg", &format!("RUST_VERSION={version}")])
                .args(["--build-arg", &format!("TOOLCHAIN={version}-{machine}")])
                .args(["--build-context", &context("toolchain", &toolchain)])
                .args(["--build-context", &context("rustup", rustup)])
                .args(["--build-context", &context("trust", Path::new(TRUST))])
                .arg(&folder),
        )?;
        finish(builder(run, RUN).args(["--build-arg", &format!("BUILD_BASE={BUILD}")]).arg(&folder))?;
        let archive = folder.join("debian.tar");
        fs::remove_file(&archive).map_err(|error| failed(&archive, &error))
    })
}

fn builder(described: &Path, name: &str) -> Command {
    let mut command = program("buildah");
    command
        .args(["build", "--isolation", "chroot", "--network", "host", "--pull-never", "--timestamp", "0"])
        .args(["--format", "docker", "--tag", name, "--file"])
        .arg(described);
    command
}

fn exists(name: &str) -> bool {
    output(program("buildah").args(["inspect", "--type", "image", "--format", "{{.FromImageID}}", name]))
        .is_some()
}
