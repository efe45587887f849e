//! How many orders a second each host creates: over one connection, from an empty store on.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use orders_bench::{
    client::{Connection, ORDER},
    wasmtime_cli,
};
use xtask::{adapters::Adapter, command::Failed, components, host, serving::Serving};

use crate::{
    results::{Rate, Round, Store},
    suite::{fresh, start},
    wasmtime,
};

/// How often hosts take turns in being measured.
const ROUNDS: usize = 5;

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
        ("jco serve", Adapter::Memory.composed(), Store::Memory, Box::new(jco)),
    ];
    if wasmtime_cli::wasmtime().exists() {
        let memory = || Ok(wasmtime::serve(&[], &Adapter::Memory.path()));
        let folder = || Ok(wasmtime::serve_in(&fresh("rate")?));
        placed.push(("wasmtime serve", Adapter::Memory.composed(), Store::Nowhere, Box::new(memory)));
        placed.push(("wasmtime serve", Adapter::Filesystem.composed(), Store::Disk, Box::new(folder)));
    }
    let mut rounds = vec![Vec::new(); placed.len()];
    for _ in 0..ROUNDS {
        for ((host, _, _, command), rounds) in placed.iter().zip(&mut rounds) {
            let serving = start(&mut command()?)?;
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
