//! Builds the host for release with profile-guided optimization.
//!
//! The compiler then keeps the code that a request runs through together, and the code that hardly ever runs small. It
//! builds the host twice for that, which takes a quarter of an hour on two processors.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use orders_bench::{client::Connection, load::closed_loop};
use xtask::{
    command::{TaskError, cargo, output, run},
    components, host, target, workspace,
};

use crate::host::{empty_database, start};

/// The part of a toolchain that merges profiles.
const TOOLS: &str = "llvm-tools";
/// Connections of the load for the profile.
const CONNECTIONS: usize = 16;
/// The duration of the load, for each store and kind of instance.
const LOAD: Duration = Duration::from_secs(5);
/// Orders created and read per listed page: a page costs as much as several of them.
const ORDERS_PER_PAGE: usize = 8;

/// Builds the host; returns the path of the program.
pub(crate) fn build() -> Result<PathBuf, TaskError> {
    let raw = folder().join("raw");
    let instrumented = compile("instrumented", "-Cprofile-generate=", &raw)?;
    let profile = folder().join("host.profdata");
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    if modified(&profile) < modified(&instrumented) {
        record_profile(&instrumented, &raw, &profile)?;
    }
    compile("optimized", "-Cprofile-use=", &profile)
}

fn folder() -> PathBuf {
    target().join("profiled")
}

fn compile(folder_name: &str, flag: &str, file: &Path) -> Result<PathBuf, TaskError> {
    let folder = folder().join(folder_name);
    let mut flags = OsString::from(flag);
    flags.push(file);
    run(cargo(["build", "--package", "orders-host", "--profile", "release", "--locked", "--target-dir"])
        .arg(&folder)
        // Replaces the developer's flags, so that nothing else makes a difference.
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", flags))?;
    Ok(folder.join("release/orders-host"))
}

/// Runs the load with each store, and with fresh and with reused instances.
fn record_profile(program: &Path, raw: &Path, profile: &Path) -> Result<(), TaskError> {
    let component = components::orders()?;
    let _ = fs::remove_dir_all(raw);
    let sqlite = empty_database("profiled/database")?;
    for (store, reuse) in [("memory:", "1"), ("memory:", "100"), (&sqlite, "1")] {
        let mut command = Command::new(program);
        host::serve(&mut command, &component, store).args(["--instance-reuse", reuse]);
        let mut serving = start(&mut command)?;
        let end = Instant::now() + LOAD;
        let step = |connection: &mut Connection| {
            for _ in 0..ORDERS_PER_PAGE {
                connection.create_and_get()?;
            }
            connection.get("/api/v1/orders?limit=20")?;
            Ok(Instant::now() < end)
        };
        closed_loop(serving.address, CONNECTIONS, step, || Ok(()))?;
        // The host writes its profile when it exits in good order.
        serving.stop()?;
    }
    run(Command::new(profdata()?).arg("merge").arg("--output").arg(profile).arg(raw))
}

/// The toolchain's program that merges profiles; installs it if it is missing.
fn profdata() -> Result<PathBuf, TaskError> {
    let rustc = |argument: &[&str]| {
        output(Command::new("rustc").args(argument).current_dir(workspace())).unwrap_or_default()
    };
    let version = rustc(&["--version", "--verbose"]);
    let machine = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let programs = Path::new(&rustc(&["--print", "sysroot"])).join("lib/rustlib").join(machine).join("bin");
    let program = programs.join("llvm-profdata");
    if !program.exists() {
        run(Command::new("rustup").args(["component", "add", TOOLS]).current_dir(workspace()))?;
    }
    Ok(program)
}
