//! Tests the adapters with persistent storage in a small host for tests, `guest/adapters/host`: the suite, concurrent
//! writers, and recovery after the host is killed.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    net::SocketAddr,
    path::Path,
    process::Command,
    thread,
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

/// Concurrent writers, and the orders that each creates: together enough for several checkpoints.
const WRITERS: usize = 4;
const ORDERS_PER_WRITER: usize = 50;
/// How often a writer sends a request while the response is 503.
const ATTEMPTS: usize = 20;
/// The host's name in the suite's table and in ours.
pub(crate) const HOST: &str = "orders-adapter-host";

/// A temporary file of a writer that was killed two hours ago: the adapter must remove it.
const STALE: &str = "t00000000000000aa.tmp";
/// Files that the adapter must not remove: a writer may still use the second one, and another program owns the first one.
const PRESERVED: [&str; 2] = ["other.tmp", "t00000000000000bb.tmp"];

/// Tests all these adapters.
pub(crate) fn test(python: &Path, results: &mut Vec<TestResult>) -> Result<(), TaskError> {
    for adapter in [Adapter::Keyvalue, Adapter::Spin] {
        let serving = start(&mut serve(adapter))?;
        run_suite(python, &serving, HOST)?;
        write_concurrently(&serving)?;
        let passed = "the whole suite; four concurrent writers lose no order and create no order twice";
        results.push(TestResult { host: HOST, component: adapter.composed(), passed });
    }
    let folder = scratch_folder("orders")?;
    create_temporary_files(&folder)?;
    let mut command = serve(Adapter::Filesystem);
    test_restart(command.arg("--folder").arg(&folder), |serving| {
        run_suite(python, serving, HOST)?;
        write_concurrently(serving)
    })?;
    check_temporary_files(&folder)?;
    let passed =
        "all of that; the same orders after it was killed and restarted; files of killed writers are removed";
    results.push(TestResult { host: HOST, component: Adapter::Filesystem.composed(), passed });
    Ok(())
}

fn serve(adapter: Adapter) -> Command {
    let mut command = Command::new(debug_program(HOST));
    command.arg(adapter.path());
    command
}

/// Checks that each order that several writers create exists exactly once in the end, even after a 503.
fn write_concurrently(serving: &Serving) -> Result<(), TaskError> {
    let (address, before) = (serving.address, orders(serving)?);
    let created: io::Result<Vec<_>> = thread::scope(|scope| {
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(address, writer))).collect();
        let joined = writers.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|created| created.unwrap_or_else(|_| Err(io::Error::other("panicked")))).collect()
    });
    let created = created.map_err(|error| TaskError(format!("a writer: {error}")))?;
    let mut expected: BTreeSet<String> = created.into_iter().flatten().collect();
    let count = expected.len();
    expected.extend(before);
    let found = orders(serving)?;
    if count == WRITERS * ORDERS_PER_WRITER && found == expected {
        return Ok(());
    }
    let lost = expected.difference(&found).count();
    let twice = found.difference(&expected).count();
    Err(TaskError(format!("{count} orders were created concurrently; {lost} are lost, {twice} exist twice")))
}

/// Creates orders one after another; returns their IDs.
fn write(address: SocketAddr, writer: usize) -> io::Result<BTreeSet<String>> {
    let mut connection = Connection::open(address)?;
    let mut created = BTreeSet::new();
    for number in 0..ORDERS_PER_WRITER {
        let key = format!("writer-{writer}-{number}");
        let mut responses = (0..ATTEMPTS).map(|_| connection.create_with_key(ORDER, &key));
        // An adapter may respond with 503. Then it is unknown whether the order was created.
        let response = responses.find(|response| !matches!(response, Ok(response) if response.status == 503));
        let response = response.unwrap_or_else(|| Err(io::Error::other("503 in every attempt")))?;
        if response.status != 201 {
            return Err(io::Error::other(format!("{}: {}", response.status, response.body)));
        }
        created.extend(order_ids(&response.body).next().map(str::to_owned));
    }
    Ok(created)
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
