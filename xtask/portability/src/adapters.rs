//! The adapters that keep what they are given, in a small host for tests (`guest/adapters/host`): the suite, several
//! writers at once, and what a killed host leaves behind.

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
    command::{Failed, built, failed},
    host::field,
    serving::Serving,
};

use crate::{
    results::Row,
    suite::{fresh, start, suite},
};

/// Writers at once, and orders that each makes: together some checkpoints' worth.
const WRITERS: usize = 4;
const EACH: usize = 50;
/// How often a writer asks again that is told that the store is unavailable.
const ATTEMPTS: usize = 20;
/// The host's name in the suite's table and in ours.
pub(crate) const HOST: &str = "orders-adapter-host";

/// Runs all that is said of them.
///
/// # Errors
///
/// [`Failed`] if anything is not as it should be.
pub(crate) fn check(python: &Path, rows: &mut Vec<Row>) -> Result<(), Failed> {
    for kind in [Adapter::Keyvalue, Adapter::Spin] {
        let serving = start(&mut serve(kind))?;
        suite(python, &serving, HOST)?;
        writers(&serving)?;
        let what = "the whole suite; four writers at once lose no order and make none twice";
        rows.push(Row::new(HOST, kind.composed(), what));
    }
    let folder = fresh("orders")?;
    let serve_folder = || start(serve(Adapter::Filesystem).arg("--folder").arg(&folder));
    let left = Left::behind(&folder)?;
    let before = {
        let serving = serve_folder()?;
        suite(python, &serving, HOST)?;
        writers(&serving)?;
        orders(&serving)?
        // Killed here, without a word.
    };
    let after = orders(&serve_folder()?)?;
    if before != after {
        return Err(Failed(format!("orders before the restart: {before:?}\nand after it: {after:?}")));
    }
    left.check()?;
    let what = "all of that; the same orders after it was killed and started again; files that killed writers left are removed";
    rows.push(Row::new(HOST, Adapter::Filesystem.composed(), what));
    Ok(())
}

fn serve(kind: Adapter) -> Command {
    let mut command = Command::new(built(HOST));
    command.arg(kind.path());
    command
}

/// Several writers at once: whatever they are told, each order that they ask for is there once in the end.
fn writers(serving: &Serving) -> Result<(), Failed> {
    let (address, before) = (serving.address, orders(serving)?);
    let made: Result<Vec<_>, Failed> = thread::scope(|scope| {
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(address, writer))).collect();
        let made = writers.into_iter().map(|writer| {
            let made = writer.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
            made.map_err(|error| Failed(format!("a writer: {error}")))
        });
        made.collect()
    });
    let mut expected: BTreeSet<String> = made?.into_iter().flatten().collect();
    let asked_for = expected.len();
    expected.extend(before);
    let found = orders(serving)?;
    if asked_for == WRITERS * EACH && found == expected {
        return Ok(());
    }
    let lost = expected.difference(&found).count();
    let more = found.difference(&expected).count();
    Err(Failed(format!("{asked_for} orders were made at once; {lost} are lost, {more} were made twice")))
}

/// Makes orders one after another; gives their ids.
fn write(address: SocketAddr, writer: usize) -> io::Result<BTreeSet<String>> {
    let mut connection = Connection::open(address)?;
    let mut made = BTreeSet::new();
    for number in 0..EACH {
        let key = format!("writer-{writer}-{number}");
        let mut answers = (0..ATTEMPTS).map(|_| connection.create_with_key(ORDER, &key));
        // Unavailable is what an adapter may answer: then it is not known whether the order was made.
        let answer = answers.find(|answer| !matches!(answer, Ok(response) if response.status == 503));
        let answer =
            answer.unwrap_or_else(|| Err(io::Error::other("unavailable, however often it asked")))?;
        if answer.status != 201 {
            return Err(io::Error::other(format!("{}: {}", answer.status, answer.body)));
        }
        made.extend(ids(&answer.body).next().map(str::to_owned));
    }
    Ok(made)
}

/// The ids of all orders.
///
/// # Errors
///
/// [`Failed`] if a page does not come, or an order stands on two.
pub(crate) fn orders(serving: &Serving) -> Result<BTreeSet<String>, Failed> {
    let listed = Connection::open(serving.address).and_then(|mut connection| {
        let mut all = BTreeSet::new();
        let mut page = connection.get("/api/v1/orders?limit=100")?;
        loop {
            for id in ids(&page) {
                if !all.insert(id.to_owned()) {
                    return Err(io::Error::other(format!("{id} is listed twice")));
                }
            }
            let Some(cursor) = field(&page, "next_cursor") else { return Ok(all) };
            page = connection.get(&format!("/api/v1/orders?limit=100&cursor={cursor}"))?;
        }
    });
    listed.map_err(|error| Failed(format!("the list of orders: {error}")))
}

/// The ids of the orders in an answer.
pub(crate) fn ids(json: &str) -> impl Iterator<Item = &str> {
    json.split("\"id\":\"").skip(1).filter_map(|rest| rest.split('"').next())
}

/// Files as killed writers leave them, and others.
struct Left<'a> {
    folder: &'a Path,
}

impl<'a> Left<'a> {
    /// To be removed: it is two hours old.
    const STALE: &'static str = "t00000000000000aa.tmp";
    /// To be kept: the one may have a writer, the other is nothing of ours.
    const KEPT: [&'static str; 2] = ["t00000000000000bb.tmp", "other.tmp"];

    fn behind(folder: &'a Path) -> Result<Self, Failed> {
        let long_ago = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
        let [waiting, foreign] = Self::KEPT;
        for (name, modified) in [(Self::STALE, Some(long_ago)), (waiting, None), (foreign, Some(long_ago))] {
            let path = folder.join(name);
            let file = File::create(&path);
            let made = file.and_then(|file| modified.map_or(Ok(()), |modified| file.set_modified(modified)));
            made.map_err(|error| failed(&path, &error))?;
        }
        Ok(Self { folder })
    }

    fn check(&self) -> Result<(), Failed> {
        let entries = fs::read_dir(self.folder).map_err(|error| failed(self.folder, &error))?;
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut found: Vec<_> = names.filter(|name| name.ends_with(".tmp")).collect();
        found.sort_unstable();
        let mut kept = Self::KEPT;
        kept.sort_unstable();
        if found == kept {
            return Ok(());
        }
        Err(Failed(format!("{} has {found:?}, not {kept:?}", self.folder.display())))
    }
}
