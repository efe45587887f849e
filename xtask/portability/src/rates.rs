//! Measures how many orders per second each host creates over one connection, starting with an empty store.

use std::{
    io,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use orders_bench::{
    client::{Connection, ORDER},
    wasmtime_cli,
};
use xtask::{adapters::Adapter, command::TaskError, components, host, serving::Serving};

use crate::{
    report::{Rate, Storage},
    suite::{scratch_folder, start},
    wasmtime,
};

/// The hosts take turns in this many rounds.
const ROUNDS: usize = 5;

/// Creates a command that starts a host with an empty store.
type Start<'a> = Box<dyn Fn() -> Result<Command, TaskError> + 'a>;

/// Measures all hosts; returns the median of each.
pub(super) fn measure(
    program: Option<&Path>,
    jco: impl Fn() -> Result<Command, TaskError>,
    time: Duration,
) -> Result<Vec<Rate>, TaskError> {
    let program = program.map_or_else(host::binary, Path::to_owned);
    if !program.exists() {
        return Err(TaskError(format!("{} does not exist: build it, or use --host", program.display())));
    }
    let component = components::orders()?;
    let ours = |store: &str| {
        let mut command = Command::new(&program);
        host::serve(&mut command, &component, store);
        command
    };
    let sqlite = || Ok(ours(&format!("sqlite:{}", scratch_folder("rate")?.join("orders.db").display())));
    let mut hosts: Vec<(_, _, _, Start<'_>)> = vec![
        ("orders-host", "orders.wasm", Storage::Disk, Box::new(sqlite)),
        ("orders-host", "orders.wasm", Storage::Memory, Box::new(|| Ok(ours("memory:")))),
        ("jco serve", Adapter::Memory.composed(), Storage::Memory, Box::new(jco)),
    ];
    if wasmtime_cli::wasmtime().exists() {
        let memory = || Ok(wasmtime::serve(&[], &Adapter::Memory.path()));
        let folder = || Ok(wasmtime::serve_folder(&scratch_folder("rate")?));
        hosts.push(("wasmtime serve", Adapter::Memory.composed(), Storage::Nowhere, Box::new(memory)));
        hosts.push(("wasmtime serve", Adapter::Filesystem.composed(), Storage::Disk, Box::new(folder)));
    }
    let mut rounds = vec![Vec::new(); hosts.len()];
    for _ in 0..ROUNDS {
        for ((host, _, _, command), rounds) in hosts.iter().zip(&mut rounds) {
            let serving = start(&mut command()?)?;
            rounds.push(create(&serving, time).map_err(|error| TaskError(format!("{host}: {error}")))?);
        }
    }
    let rates = hosts.into_iter().zip(rounds).filter_map(|((host, component, storage, _), mut rounds)| {
        rounds.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let (rate, orders) = *rounds.get(ROUNDS / 2)?;
        Some(Rate { host, component, storage, rate, orders })
    });
    Ok(rates.collect())
}

/// Creates orders for some time, after one that is not measured; returns creates per second, and the number of orders.
fn create(serving: &Serving, time: Duration) -> io::Result<(f64, u32)> {
    let mut connection = Connection::open(serving.address)?;
    connection.create(ORDER)?;
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < time {
        connection.create(ORDER)?;
        count += 1;
    }
    Ok((f64::from(count) / began.elapsed().as_secs_f64(), count + 1))
}
