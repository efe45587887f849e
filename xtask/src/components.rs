//! Builds components: a core module by rustc for `wasm32-unknown-unknown`, then a component by wit-component.
//!
//! That target has no operating system to import, so a component imports only what its code calls.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use wit_component::ComponentEncoder;

use crate::{
    command::{Failed, ask, cargo, failed, output, run},
    target, workspace,
};

/// What our components are compiled for.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
/// The profile in Cargo.toml that they are compiled with.
const PROFILE: &str = "component";

/// Builds the orders component; gives the path of the file.
///
/// # Errors
///
/// [`Failed`] if it does not build.
pub(crate) fn orders() -> Result<PathBuf, Failed> {
    compile(&["--package", "orders-guest", "--lib"])?;
    let component = target().join("components/orders.wasm");
    encode(&built().join("orders_guest.wasm"), &component)?;
    Ok(component)
}

/// The SHA-256 of a component, which hosts know it by, in hexadecimal digits.
///
/// # Errors
///
/// [`Failed`] if it cannot be read.
pub(crate) fn hash(component: &Path) -> Result<String, Failed> {
    let line = ask(Command::new("sha256sum").arg(component))?;
    Ok(line.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Builds an adapter of the store; gives the path of the file.
///
/// # Errors
///
/// [`Failed`] if it does not build.
pub(crate) fn adapter(package: &str) -> Result<PathBuf, Failed> {
    compile(&["--package", package])?;
    let module = format!("{}.wasm", package.replace('-', "_"));
    let component = target().join("components/adapters").join(&module);
    encode(&built().join(&module), &component)?;
    Ok(component)
}

/// Builds the components that the host's tests need, into `components/fixtures`.
///
/// # Errors
///
/// [`Failed`] if one does not build.
pub(crate) fn fixtures() -> Result<(), Failed> {
    compile(&["--package", "orders-fixtures", "--examples"])?;
    let sources = workspace().join("host/tests/guests/examples");
    let sources = fs::read_dir(&sources).map_err(|error| failed(&sources, &error))?;
    for source in sources {
        let source = source.map_err(|error| Failed(error.to_string()))?;
        let module = Path::new(&source.file_name()).with_extension("wasm");
        let component = target().join("components/fixtures").join(&module);
        encode(&built().join("examples").join(&module), &component)?;
    }
    Ok(())
}

/// Adds the target to the toolchain if it is not there.
///
/// # Errors
///
/// [`Failed`] if rustup cannot.
pub(crate) fn ensure_target() -> Result<(), Failed> {
    let libraries = output(Command::new("rustc").current_dir(workspace()).args([
        "--print",
        "target-libdir",
        "--target",
        TARGET,
    ]));
    if libraries.is_some_and(|folder| Path::new(&folder).is_dir()) {
        return Ok(());
    }
    run(Command::new("rustup").current_dir(workspace()).args(["target", "add", TARGET]))
}

fn compile(what: &[&str]) -> Result<(), Failed> {
    ensure_target()?;
    run(cargo(["build", "--locked", "--target", TARGET, "--profile", PROFILE])
        .args(what)
        .env("CARGO_ENCODED_RUSTFLAGS", without_home()))
}

/// Flags of rustc by which a panic names its place without the folder of this machine's cargo: a component is then the same
/// wherever it is built.
fn without_home() -> OsString {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo"))).unwrap_or_default();
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(home);
    flag.push("=/cargo");
    flag
}

fn built() -> PathBuf {
    target().join(TARGET).join(PROFILE)
}

fn encode(module: &Path, component: &Path) -> Result<(), Failed> {
    let bytes = fs::read(module).map_err(|error| failed(module, &error))?;
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| Failed(format!("{}: {error:#}", module.display())))?;
    component
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(component, encoded))
        .map_err(|error| failed(component, &error))
}
