//! Builds components: a core module by rustc for `wasm32-unknown-unknown`, then a component by `xtask/componentize`.
//!
//! That target has no operating system to import, so a component imports only what its code calls.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command::{self, Failed, ask, build_programs, cargo, failed, output, run},
    target, workspace,
};

/// What our components are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// The profile in Cargo.toml that they are compiled with.
const PROFILE: &str = "component";
/// The package and the name of the program that makes a core module a component.
pub const ENCODER: &str = "orders-componentize";

/// Builds the orders component; gives the path of the file.
///
/// # Errors
///
/// [`Failed`] if it does not build.
pub fn orders() -> Result<PathBuf, Failed> {
    compile_orders()?;
    build_encoder()?;
    encode_orders()
}

/// Compiles the core module of the orders component: the first half of [`orders`].
///
/// # Errors
///
/// [`Failed`] if it does not build.
pub fn compile_orders() -> Result<(), Failed> {
    compile(&["--package", "orders-guest", "--lib"])
}

/// Makes the core module of the orders component a component, with the [`ENCODER`], which has to be built; gives the path
/// of the file.
///
/// # Errors
///
/// [`Failed`] if it is no such module.
pub fn encode_orders() -> Result<PathBuf, Failed> {
    let component = target().join("components/orders.wasm");
    encode(&built().join("orders_guest.wasm"), &component)?;
    Ok(component)
}

/// The same component as another version: a custom section says which, and nothing else differs.
///
/// # Errors
///
/// [`Failed`] if it cannot be read or written.
pub fn another_version(component: &Path, number: u8, folder: &Path) -> Result<PathBuf, Failed> {
    let path = folder.join(format!("orders-{number}.wasm"));
    let written = fs::read(component).and_then(|mut bytes| {
        // Section 0, its size, the size of its name, its name, what it holds.
        bytes.extend_from_slice(b"\x00\x09\x07version");
        bytes.push(number);
        fs::write(&path, bytes)
    });
    written.map_err(|error| failed(&path, &error)).map(|()| path)
}

/// The SHA-256 of a component, which hosts know it by, in hexadecimal digits.
///
/// # Errors
///
/// [`Failed`] if it cannot be read.
pub fn hash(component: &Path) -> Result<String, Failed> {
    let line = ask(Command::new("sha256sum").arg(component))?;
    Ok(line.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Builds an adapter of the store; gives the path of the file.
///
/// # Errors
///
/// [`Failed`] if it does not build.
pub fn adapter(package: &str) -> Result<PathBuf, Failed> {
    compile(&["--package", package])?;
    build_encoder()?;
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
pub fn fixtures() -> Result<(), Failed> {
    compile(&["--package", "orders-fixtures", "--examples"])?;
    build_encoder()?;
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
pub fn ensure_target() -> Result<(), Failed> {
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

/// Builds the [`ENCODER`].
///
/// # Errors
///
/// [`Failed`] if it does not build.
pub fn build_encoder() -> Result<(), Failed> {
    build_programs(&[ENCODER])
}

fn encode(module: &Path, component: &Path) -> Result<(), Failed> {
    ask(Command::new(command::built(ENCODER)).arg(module).arg(component)).map(drop)
}
