//! How many orders a second each host creates: over one connection, from an empty store on.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    bench,
    client::{Connection, ORDER},
    command::Failed,
    components,
    compose::Kind,
    host,
};

use super::{fresh, path, serving::Serving, wasmtime};

/// How often hosts take turns in being measured.
const ROUNDS: usize = 5;

/// What one host did in one round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Creates a second.
    pub(super) rate: f64,
    /// Orders in its store at the end.
    pub(super) orders: u32,
}

/// Where the orders are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    /// An answer of 201 means that it is on the disk.
    Disk,
    Memory,
    /// With the instance of the request: the next one finds nothing.
    Nowhere,
}

impl Store {
    /// What our host is compared by: the same promise, or the one above it.
    pub(super) fn compared_with(self) -> Self {
        if self == Self::Disk { Self::Disk } else { Self::Memory }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Disk => "on the disk",
            Self::Memory => "in memory",
            Self::Nowhere => "nowhere",
        }
    }
}

/// A component in a host, to be measured.
pub(super) struct Rate {
    pub(super) host: &'static str,
    pub(super) component: &'static str,
    pub(super) store: Store,
    /// The median of its rounds.
    pub(super) round: Round,
}

/// What makes a command that starts a host anew, with an empty store.
type Start<'a> = Box<dyn Fn() -> Result<Command, Failed> + 'a>;

/// The medians of some rounds, in which all take turns.
///
/// # Errors
///
/// [`Failed`] if our host is not there, or one does not answer as it should.
pub(super) fn measure(
    program: Option<&Path>,
    jco: impl Fn() -> Result<Command, Failed>,
    time: Duration,
) -> Result<Vec<Rate>, Failed> {
    let program = program.map_or_else(host::binary, Path::to_owned);
    if !program.exists() {
        return Err(Failed(format!("{} is not there: build it, or name another", program.display())));
    }
    let component = components::orders()?;
    let ours = |store: &str| {
        let mut command = Command::new(&program);
        host::serve(&mut command, &component, store);
        command
    };
    let sqlite = || Ok(ours(&format!("sqlite:{}", database()?.display())));
    let mut placed: Vec<(_, _, _, Start<'_>)> = vec![
        ("orders-host", "orders.wasm", Store::Disk, Box::new(sqlite)),
        ("orders-host", "orders.wasm", Store::Memory, Box::new(|| Ok(ours("memory:")))),
        ("jco serve", Kind::Memory.file(), Store::Memory, Box::new(jco)),
    ];
    if bench::wasmtime().exists() {
        let memory = || Ok(wasmtime::serve(&[], &path(Kind::Memory)));
        let folder = || Ok(wasmtime::serve_in(&fresh("rate")?));
        placed.push(("wasmtime serve", Kind::Memory.file(), Store::Nowhere, Box::new(memory)));
        placed.push(("wasmtime serve", Kind::Filesystem.file(), Store::Disk, Box::new(folder)));
    }
    let mut rounds = vec![Vec::new(); placed.len()];
    for _ in 0..ROUNDS {
        for ((host, _, _, start), rounds) in placed.iter().zip(&mut rounds) {
            let serving = Serving::start(&mut start()?)?;
            rounds.push(round(&serving, time).map_err(|error| Failed(format!("{host}: {error}")))?);
        }
    }
    let all = placed.into_iter().zip(rounds).filter_map(|((host, component, store, _), mut rounds)| {
        rounds.sort_by(|one, other| one.rate.total_cmp(&other.rate));
        let round = *rounds.get(ROUNDS / 2)?;
        Some(Rate { host, component, store, round })
    });
    Ok(all.collect())
}

fn database() -> Result<PathBuf, Failed> {
    Ok(fresh("rate")?.join("orders.db"))
}

fn round(serving: &Serving, time: Duration) -> std::io::Result<Round> {
    let mut connection = Connection::open(serving.address)?;
    connection.create(ORDER)?;
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < time {
        connection.create(ORDER)?;
        count += 1;
    }
    Ok(Round { rate: f64::from(count) / began.elapsed().as_secs_f64(), orders: count + 1 })
}
