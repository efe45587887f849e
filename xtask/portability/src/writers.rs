//! Many writers, a host that is killed, and a bucket that behaves like those of real hosts: what was acknowledged is there in the end,
//! once.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use orders_bench::client::{Connection, ORDER};
use xtask::{
    adapters::Adapter,
    command::{TaskError, debug_program, pause},
    host::field,
    target,
};

use crate::{
    adapters::HOST,
    suite::{scratch_folder, start},
};

/// Concurrent writers.
const WRITERS: u32 = 8;
/// How often a page of the final list is requested, of a bucket of which each tenth call fails.
const ATTEMPTS: u32 = 200;
/// How long a writer waits after a connection was refused.
const PAUSE: Duration = Duration::from_millis(20);

/// A mode of the bucket in `orders-adapter-host`: what it does, and which adapters it concerns.
struct Mode(&'static str, &'static str, &'static [Adapter]);

const BOTH: &[Adapter] = &[Adapter::Keyvalue, Adapter::Spin];
const SPIN: &[Adapter] = &[Adapter::Spin];
/// With the first draft, not even one commit need be acknowledged in these modes: counters that are not exact are refused, and a writer
/// whose calls fail may leave a name taken.
const MAY_REFUSE: [&str; 3] = ["count-in-two-steps", "fails-before", "fails-after"];

const MODES: [Mode; 11] = [
    Mode("exact", "a folder", &[Adapter::Filesystem]),
    Mode("exact", "each call is atomic", BOTH),
    Mode("swap-upserts", "a swap from \"absent\" is an upsert (Spin, SQLite)", SPIN),
    Mode("increment-traps", "an increment of another value traps (Spin, SQLite)", BOTH),
    Mode("few-cas-handles", "256 swaps in an instance's life (Spin)", SPIN),
    Mode("swap-reports-failure", "a swap that took place reports a failure (Spin, Redis)", SPIN),
    Mode("count-in-two-steps", "a counter is read, then written (wasmCloud, files)", BOTH),
    Mode("small-pages", "three keys in a page of a list", BOTH),
    Mode("slow", "each call takes 2 ms longer", BOTH),
    Mode("fails-before", "each tenth call fails and does nothing", BOTH),
    Mode("fails-after", "each tenth call fails after doing it", BOTH),
];

/// How long the writers write, and how often their host is killed meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) time: Duration,
    pub(crate) kills: u32,
}

impl Effort {
    /// What a test can afford.
    pub(crate) const SHORT: Self = Self { time: Duration::from_secs(2), kills: 1 };
}

/// What the writers of one adapter have seen in one mode.
pub(crate) struct Outcome {
    pub(crate) mode: &'static str,
    pub(crate) component: &'static str,
    pub(crate) acknowledged: usize,
    pub(crate) missing: usize,
    pub(crate) doubled: usize,
    /// Responses of 5xx.
    pub(crate) refused: u32,
}

/// Runs all modes.
///
/// # Errors
///
/// If an acknowledged order is missing, or an order exists twice.
pub(crate) fn run_all(effort: Effort) -> Result<Vec<Outcome>, TaskError> {
    for adapter in Adapter::ALL {
        // It may be that of a component before.
        let _ = fs::remove_file(code(adapter));
    }
    let mut outcomes = Vec::new();
    for Mode(name, what, adapters) in MODES {
        for adapter in adapters {
            let outcome = run(*adapter, name, what, effort)?;
            let Outcome { component, acknowledged, missing, doubled, refused, .. } = outcome;
            let counts = format!(
                "{component}, {what}: {acknowledged} acknowledged, {missing} missing, {doubled} doubled, {refused} refused"
            );
            println!("{counts}");
            let may_refuse = *adapter == Adapter::Keyvalue && MAY_REFUSE.contains(&name);
            if missing + doubled > 0 || acknowledged == 0 && !may_refuse {
                return Err(TaskError(counts));
            }
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

fn run(adapter: Adapter, mode: &str, what: &'static str, effort: Effort) -> Result<Outcome, TaskError> {
    let folder = scratch_folder("writers")?;
    let code = code(adapter);
    let serve = || {
        let mut command = Command::new(debug_program(HOST));
        command.arg(adapter.path()).args(["--mode", mode, "--folder"]).arg(&folder).arg("--code").arg(&code);
        // The folder of the component in this one has no other files.
        if adapter != Adapter::Filesystem {
            command.arg("--bucket").arg(folder.join("bucket.db"));
        }
        start(&mut command)
    };
    let first = serve()?;
    let (address, refused) = (Mutex::new(first.address), AtomicU32::new(0));
    let mut serving = Some(first);
    let until = Instant::now() + effort.time;
    let acknowledged = thread::scope(|scope| {
        let (address, refused) = (&address, &refused);
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(writer, address, refused, until))).collect();
        for _ in 0..effort.kills {
            pause(effort.time / (effort.kills + 1));
            // SIGKILL, before the next one opens the bucket.
            drop(serving.take());
            let next = serving.insert(serve()?);
            *address.lock().unwrap_or_else(PoisonError::into_inner) = next.address;
        }
        let joined = writers
            .into_iter()
            .map(|writer| writer.join().unwrap_or_else(|_| Err(TaskError("a writer panicked".into()))));
        let each = joined.collect::<Result<Vec<_>, TaskError>>()?;
        Ok::<BTreeMap<_, _>, TaskError>(each.into_iter().flatten().collect())
    })?;
    let address = address.into_inner().unwrap_or_else(PoisonError::into_inner);
    let found = list(address).map_err(|error| TaskError(format!("{what}: the list: {error}")))?;
    let missing =
        acknowledged.iter().filter(|(key, id)| !found.get(*key).is_some_and(|ids| ids.contains(id)));
    Ok(Outcome {
        mode: what,
        component: adapter.composed(),
        acknowledged: acknowledged.len(),
        missing: missing.count(),
        doubled: found.values().filter(|ids| ids.len() > 1).count(),
        refused: refused.into_inner(),
    })
}

/// Where the host keeps the compiled component.
fn code(adapter: Adapter) -> PathBuf {
    target().join("portability").join(adapter.composed()).with_extension("cwasm")
}

/// Creates orders one after the other, each with a key and as often as it takes. Returns the ids of those that were acknowledged.
fn write(
    writer: u32,
    address: &Mutex<SocketAddr>,
    refused: &AtomicU32,
    until: Instant,
) -> Result<BTreeMap<String, String>, TaskError> {
    let mut acknowledged = BTreeMap::new();
    let mut connection = None;
    let mut number = 0;
    while Instant::now() < until {
        let key = format!("writer-{writer}-{number}");
        let order = ORDER.replace("ada", &key);
        let address = *address.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(open) = connection.take().map_or_else(|| Connection::open(address), Ok) else {
            pause(PAUSE);
            continue;
        };
        let open = connection.insert(open);
        match open.create_with_key(&order, &key) {
            Ok(response) if response.status == 201 => {
                acknowledged.extend(field(&response.body, "id").map(|id| (key, id.to_owned())));
                number += 1;
            }
            Ok(response) if response.status >= 500 => {
                refused.fetch_add(1, Ordering::Relaxed);
            }
            // Nothing else can be the answer to such an order.
            Ok(response) => return Err(TaskError(format!("{}: {}", response.status, response.body))),
            // The host was killed. It is not known what has become of the order.
            Err(_) => connection = None,
        }
    }
    Ok(acknowledged)
}

/// The ids of all orders, by their customers.
fn list(address: SocketAddr) -> io::Result<BTreeMap<String, Vec<String>>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut path = "/api/v1/orders?limit=100".to_owned();
    loop {
        let mut pages = (0..ATTEMPTS).map(|_| Connection::open(address)?.fetch(&path));
        let page = pages.find_map(|page| page.ok().filter(|page| page.status == 200));
        let page = page.ok_or_else(|| io::Error::other("no page in so many attempts"))?.body;
        for order in page.split("{\"id\":\"").skip(1) {
            let id = order.split('"').next().unwrap_or_default().to_owned();
            let customer = field(order, "customer").unwrap_or_default().to_owned();
            all.entry(customer).or_default().push(id);
        }
        let Some(cursor) = field(&page, "next_cursor") else { return Ok(all) };
        path = format!("/api/v1/orders?limit=100&cursor={cursor}");
    }
}
