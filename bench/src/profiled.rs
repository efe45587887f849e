//! The release build of the host, made with a profile of itself under load (profile-guided optimization).
//!
//! The compiler then lays out together what a request runs through, and keeps small what is hardly ever run. It is built
//! twice for that, which takes a quarter of an hour on two processors.

use std::{
    ffi::OsString,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use orders_bench::client::{Connection, ORDER};
use xtask::{
    command::{Failed, cargo, output, run},
    components, host,
    process::Group,
    serving::Serving,
    target, workspace,
};

/// The part of a toolchain that reads profiles.
const TOOLS: &str = "llvm-tools";
/// Connections that make the load, and how long they make it, each time.
const CONNECTIONS: usize = 16;
const LOAD: Duration = Duration::from_secs(5);
/// Orders that are created and read for each page that is listed: a page costs as much as several of them.
const ORDERS_A_PAGE: usize = 8;

/// Builds the host; gives the path of the program.
///
/// # Errors
///
/// [`Failed`] if it does not build, or does not do what it is asked for its profile.
pub(crate) fn build() -> Result<PathBuf, Failed> {
    let raw = folder().join("raw");
    let instrumented = compile("instrumented", "-Cprofile-generate=", &raw)?;
    let profile = folder().join("host.profdata");
    if is_older(&profile, &instrumented) {
        take_profile(&instrumented, &raw, &profile)?;
    }
    compile("optimized", "-Cprofile-use=", &profile)
}

fn folder() -> PathBuf {
    target().join("profiled")
}

/// Whether a file has to be made anew because of another one.
fn is_older(file: &Path, than: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    modified(file) < modified(than)
}

fn compile(folder_name: &str, flag: &str, file: &Path) -> Result<PathBuf, Failed> {
    let folder = folder().join(folder_name);
    let mut flags = OsString::from(flag);
    flags.push(file);
    run(cargo(["build", "--package", "orders-host", "--profile", "release", "--locked", "--target-dir"])
        .arg(&folder)
        // In place of what the developer may have set: nothing else is to make a difference.
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", flags))?;
    Ok(folder.join("release/orders-host"))
}

/// Has the program do what it does most, with each store and with instances of both kinds.
fn take_profile(program: &Path, raw: &Path, profile: &Path) -> Result<(), Failed> {
    let component = components::orders()?;
    let _ = fs::remove_dir_all(raw);
    let database = folder().join("database");
    let _ = fs::remove_dir_all(&database);
    fs::create_dir_all(&database).map_err(|error| Failed(format!("{}: {error}", database.display())))?;
    let durable = format!("sqlite:{}", database.join("orders.db").display());
    for (store, reuse) in [("memory:", "1"), ("memory:", "100"), (&durable, "1")] {
        let mut command = Command::new(program);
        host::serve(&mut command, &component, store).args(["--instance-reuse", reuse]);
        let mut serving = Serving::start(&mut command, Group::Ours, |_| ())?;
        work(serving.address).map_err(|error| Failed(format!("the host to be profiled: {error}")))?;
        // It writes its profile when it ends in order.
        serving.stop()?;
    }
    run(Command::new(profdata()?).arg("merge").arg("--output").arg(profile).arg(raw))
}

/// Has all connections do what callers do.
fn work(address: SocketAddr) -> io::Result<()> {
    let end = Instant::now() + LOAD;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(|| work_until(end, address))).collect();
        clients.into_iter().try_for_each(|client| {
            client.join().unwrap_or_else(|_| Err(io::Error::other("a client panicked")))
        })
    })
}

fn work_until(end: Instant, address: SocketAddr) -> io::Result<()> {
    let mut connection = Connection::open(address)?;
    while Instant::now() < end {
        for _ in 0..ORDERS_A_PAGE {
            let order = connection.create(ORDER)?;
            let id = host::field(&order, "id").unwrap_or_default();
            connection.get(&format!("/api/v1/orders/{id}"))?;
        }
        connection.get("/api/v1/orders?limit=20")?;
    }
    Ok(())
}

/// The program of the toolchain that merges profiles; the toolchain gets it if it has none.
fn profdata() -> Result<PathBuf, Failed> {
    let rustc = |argument: &[&str]| {
        output(Command::new("rustc").args(argument).current_dir(workspace())).unwrap_or_default()
    };
    let version = rustc(&["--version", "--verbose"]);
    let machine = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let program = Path::new(&rustc(&["--print", "sysroot"]))
        .join("lib/rustlib")
        .join(machine)
        .join("bin/llvm-profdata");
    if !program.exists() {
        run(Command::new("rustup").args(["component", "add", TOOLS]).current_dir(workspace()))?;
    }
    Ok(program)
}
