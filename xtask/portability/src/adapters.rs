//! Tests the adapters with persistent storage in a small host for tests, `guest/adapters/host`: the suite, and recovery after the
//! host is killed.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use orders_bench::client::{Connection, ORDER};
use xtask::{
    adapters::Adapter,
    command::{TaskError, debug_program, file_error},
    host::field,
    serving::Serving,
};

use crate::{
    report::TestResult,
    suite::{run_suite, scratch_folder, start},
};

/// The host's name in the suite's table and in ours.
pub(crate) const HOST: &str = "orders-adapter-host";

/// After so many commits there was a checkpoint, after which the adapter removes what killed writers have left.
const COMMITS_TO_A_CHECKPOINT: u32 = 64;

/// A temporary file of a writer that was killed two hours ago: the adapter must remove it.
const STALE: &str = "t00000000000000aa.tmp";
/// Files that the adapter must not remove: a writer may still use the second one, and another program owns the first one.
const PRESERVED: [&str; 2] = ["other.tmp", "t00000000000000bb.tmp"];

/// Tests all these adapters.
pub(crate) fn test(python: &Path, results: &mut Vec<TestResult>) -> Result<(), TaskError> {
    for adapter in [Adapter::Keyvalue, Adapter::Spin] {
        let serving = start(&mut serve(adapter))?;
        run_suite(python, &serving, HOST)?;
        let passed = "the whole suite";
        results.push(TestResult { host: HOST, component: adapter.composed(), passed });
    }
    let folder = scratch_folder("orders")?;
    create_temporary_files(&folder)?;
    let mut command = serve(Adapter::Filesystem);
    test_restart(command.arg("--folder").arg(&folder), |serving| {
        run_suite(python, serving, HOST)?;
        create(serving, COMMITS_TO_A_CHECKPOINT)
    })?;
    check_temporary_files(&folder)?;
    let passed = "the whole suite; the same orders after it was killed and restarted; files of killed writers are removed";
    results.push(TestResult { host: HOST, component: Adapter::Filesystem.composed(), passed });
    Ok(())
}

/// Creates orders one after the other.
fn create(serving: &Serving, count: u32) -> Result<(), TaskError> {
    let created = Connection::open(serving.address)
        .and_then(|mut connection| (0..count).try_for_each(|_| connection.create(ORDER).map(drop)));
    created.map_err(|error| TaskError(format!("creating orders: {error}")))
}

fn serve(adapter: Adapter) -> Command {
    let mut command = Command::new(debug_program(HOST));
    command.arg(adapter.path());
    command
}

/// The IDs of all orders. Fails if an order is on two pages.
fn orders(serving: &Serving) -> Result<BTreeSet<String>, TaskError> {
    let listed = Connection::open(serving.address).and_then(|mut connection| {
        let mut all = BTreeSet::new();
        let mut page = connection.get("/api/v1/orders?limit=100")?;
        loop {
            if let Some(id) = order_ids(&page).find(|id| !all.insert((*id).to_owned())) {
                return Err(io::Error::other(format!("{id} is listed twice")));
            }
            let Some(cursor) = field(&page, "next_cursor") else { return Ok(all) };
            page = connection.get(&format!("/api/v1/orders?limit=100&cursor={cursor}"))?;
        }
    });
    listed.map_err(|error| TaskError(format!("the list of orders: {error}")))
}

/// Starts a host, runs a test, kills the host, and checks that it has the same orders after a restart.
pub(crate) fn test_restart(
    host: &mut Command,
    test: impl FnOnce(&Serving) -> Result<(), TaskError>,
) -> Result<(), TaskError> {
    let serving = start(host)?;
    test(&serving)?;
    let before = orders(&serving)?;
    // SIGKILL, so that the host cannot write anything before it exits.
    drop(serving);
    let after = orders(&start(host)?)?;
    if before == after && !before.is_empty() {
        return Ok(());
    }
    Err(TaskError(format!("orders before the restart: {before:?}\nand after it: {after:?}")))
}

/// The IDs of the orders in a response.
pub(crate) fn order_ids(json: &str) -> impl Iterator<Item = &str> {
    json.split("\"id\":\"").skip(1).filter_map(|rest| rest.split('"').next())
}

fn create_temporary_files(folder: &Path) -> Result<(), TaskError> {
    let two_hours_ago = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    let [foreign, recent] = PRESERVED;
    for (name, is_old) in [(STALE, true), (foreign, true), (recent, false)] {
        let path = folder.join(name);
        File::create(&path)
            .and_then(|file| if is_old { file.set_modified(two_hours_ago) } else { Ok(()) })
            .map_err(|error| file_error(&path, &error))?;
    }
    Ok(())
}

fn check_temporary_files(folder: &Path) -> Result<(), TaskError> {
    let entries = fs::read_dir(folder).map_err(|error| file_error(folder, &error))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let found: BTreeSet<_> = names.filter(|name| name.ends_with(".tmp")).collect();
    if found == PRESERVED.map(str::to_owned).into() {
        return Ok(());
    }
    Err(TaskError(format!("{} contains {found:?} instead of {PRESERVED:?}", folder.display())))
}
