//! Builds components: rustc builds a core module for `wasm32-unknown-unknown`, `xtask/componentize` encodes it as a component.
//!
//! This target has no operating system, so a component imports only what its code calls.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command::{TaskError, build_programs, capture, cargo, debug_program, file_error, output, run},
    target, workspace,
};

/// The target of our components.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// Their profile in Cargo.toml.
const PROFILE: &str = "component";
/// The package and the program that encodes a core module as a component.
pub const ENCODER: &str = "orders-componentize";

/// Builds the orders component; returns its path.
pub fn orders() -> Result<PathBuf, TaskError> {
    compile(&["--package", "orders-guest", "--lib"])?;
    encode("orders_guest.wasm", "orders.wasm")
}

/// Builds the versions of the orders component that tests run beside it: the one before it, and one after it.
pub fn other_versions() -> Result<(), TaskError> {
    for version in ["previous", "next"] {
        compile(&["--package", "orders-guest", "--lib", "--features", &format!("orders-guest/{version}")])?;
        encode("orders_guest.wasm", &format!("versions/{version}.wasm"))?;
    }
    Ok(())
}

/// Builds an adapter of the store; returns its path.
pub fn adapter(package: &str) -> Result<PathBuf, TaskError> {
    compile(&["--package", package])?;
    let module = format!("{}.wasm", package.replace('-', "_"));
    encode(&module, &format!("adapters/{module}"))
}

/// Builds the components that the host's tests need, into `target/components/fixtures`.
pub fn fixtures() -> Result<(), TaskError> {
    compile(&["--package", "orders-fixtures", "--examples"])?;
    let folder = workspace().join("host/tests/guests/examples");
    let sources = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for source in sources.map_err(|error| file_error(&folder, &error))? {
        let module = Path::new(&source.file_name()).with_extension("wasm").display().to_string();
        encode(&format!("examples/{module}"), &format!("fixtures/{module}"))?;
    }
    Ok(())
}

/// Builds one of the components for tests; returns its path.
pub fn fixture(name: &str) -> Result<PathBuf, TaskError> {
    compile(&["--package", "orders-fixtures", "--example", name])?;
    encode(&format!("examples/{name}.wasm"), &format!("fixtures/{name}.wasm"))
}

/// Writes a copy of a component to a folder. It has another hash, because a custom section contains `number`.
pub fn another_version(component: &Path, number: u8, folder: &Path) -> Result<PathBuf, TaskError> {
    let path = folder.join(format!("orders-{number}.wasm"));
    let written = fs::read(component).and_then(|mut bytes| {
        // Section 0, its size, the size of its name, its name, its content.
        bytes.extend_from_slice(b"\x00\x09\x07version");
        bytes.push(number);
        fs::write(&path, bytes)
    });
    written.map_err(|error| file_error(&path, &error)).map(|()| path)
}

/// Adds the target to the toolchain if it is missing.
pub fn ensure_target() -> Result<(), TaskError> {
    let rustc = ["--print", "target-libdir", "--target", TARGET];
    let libraries = output(Command::new("rustc").current_dir(workspace()).args(rustc));
    if libraries.is_some_and(|folder| Path::new(&folder).is_dir()) {
        return Ok(());
    }
    run(Command::new("rustup").current_dir(workspace()).args(["target", "add", TARGET]))
}

/// Builds core modules, and the [`ENCODER`].
fn compile(packages: &[&str]) -> Result<(), TaskError> {
    ensure_target()?;
    run(cargo(["build", "--locked", "--target", TARGET, "--profile", PROFILE])
        .args(packages)
        .env("CARGO_ENCODED_RUSTFLAGS", flags()))?;
    build_programs(&[ENCODER])
}

/// Functions of more than this cost are not inlined (LLVM's own measure; by default it is 225).
const INLINE_THRESHOLD: &str = "-Cllvm-args=--inline-threshold=40";

/// Flags of rustc, in the form of `CARGO_ENCODED_RUSTFLAGS`. One replaces cargo's home folder in the file names of panic messages, so
/// that a component is the same wherever it is built.
fn flags() -> OsString {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo"))).unwrap_or_default();
    let mut flags = OsString::from("--remap-path-prefix=");
    flags.push(home);
    flags.push("=/cargo\u{1f}");
    flags.push(INLINE_THRESHOLD);
    flags
}

/// Encodes a core module as a component; returns the path of the component.
fn encode(module: &str, component: &str) -> Result<PathBuf, TaskError> {
    let module = target().join(TARGET).join(PROFILE).join(module);
    let component = target().join("components").join(component);
    capture(Command::new(debug_program(ENCODER)).args([&module, &component])).map(|_| component)
}
