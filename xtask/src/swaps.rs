//! `cargo xtask swaps`: what requests notice of it when the component is replaced again and again.
//!
//! Two versions of the orders component, the release build, SQLite, and clients that create orders and read them back
//! without a pause. The same clients without swaps, before and after, are the measure.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use crate::{
    client::{Connection, ORDER},
    command::{Failed, cargo, pause, run},
    components, host,
    load::Host,
    target,
};

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// How often the component is replaced
    #[arg(long, default_value_t = 100)]
    swaps: u32,
    /// In how many seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Connections that create and read at once
    #[arg(long, default_value_t = 32)]
    connections: usize,
}

/// Runs it and prints what came of it.
///
/// # Errors
///
/// [`Failed`] if anything did not go as it should: an answer other than 201 or 200 counts as that.
pub(crate) fn measure(options: &Options) -> Result<(), Failed> {
    let component = components::orders()?;
    run(&mut cargo(["build", "--package", "orders-host", "--profile", "release", "--locked"]))?;
    let folder = target().join("swaps");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| Failed(format!("{}: {error}", folder.display())))?;
    let versions = [1, 2].map(|number| version(&component, number, &folder));
    let [first, second] = versions;
    let (first, second) = (first?, second?);

    let modules = folder.join("modules").display().to_string();
    let serve = ["--admin-listen", "127.0.0.1:0", "--module-dir", &modules, "--watch", "0s"];
    let mut host = Host::start(&first, &folder, false, &serve)?;
    // Each was compiled once before, as it is when a version comes back.
    push(&host, &second)?;
    push(&host, &first)?;

    let half = Duration::from_secs(u64::from(options.seconds)) / 2;
    let address = host.address;
    let calm = |time: Duration| {
        under_load(address, options.connections, || {
            pause(time);
            Ok(())
        })
    };
    let (mut without, ()) = calm(half)?;
    let interval = Duration::from_secs(u64::from(options.seconds)) / options.swaps.max(1);
    let (mut with, mut pushes) = under_load(address, options.connections, || {
        let began = Instant::now();
        let mut pushes = Vec::new();
        for number in 0..options.swaps {
            pause((interval * number).saturating_sub(began.elapsed()));
            let pushed = Instant::now();
            push(&host, if number % 2 == 0 { &second } else { &first })?;
            pushes.push(pushed.elapsed());
        }
        pause((interval * options.swaps).saturating_sub(began.elapsed()));
        Ok(pushes)
    })?;
    let (after, ()) = calm(half)?;
    without.times.extend(after.times);
    without.elapsed += after.elapsed;
    host.stop()?;

    println!(
        "{} swaps in {} s, {} connections; a push takes {:.1?} (median) and {:.1?} (longest)",
        options.swaps,
        options.seconds,
        options.connections,
        at(&mut pushes, 500),
        at(&mut pushes, 1000)
    );
    println!("{:<14}{:>12}{:>12}{:>8}", "", "without", "with", "ratio");
    let rates = [without.rate(), with.rate()];
    println!("{:<14}{:>12.0}{:>12.0}{:>8.2}", "requests/s", rates[0], rates[1], rates[1] / rates[0]);
    for (name, part) in [("p50", 500), ("p99", 990), ("p99.9", 999), ("longest", 1000)] {
        let (without, with) = (at(&mut without.times, part), at(&mut with.times, part));
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        println!("{name:<14}{:>12}{:>12}{ratio:>8.2}", format!("{without:.2?}"), format!("{with:.2?}"));
    }
    println!("{} requests during the swaps, each answered as it should be", with.times.len());
    Ok(())
}

/// Another version of the component: a custom section says which, and nothing else differs.
///
/// # Errors
///
/// [`Failed`] if it cannot be read or written.
pub(crate) fn version(component: &Path, number: u8, folder: &Path) -> Result<PathBuf, Failed> {
    let path = folder.join(format!("orders-{number}.wasm"));
    let written = fs::read(component).and_then(|mut bytes| {
        // Section 0, its size, the size of its name, its name, what it holds.
        bytes.extend_from_slice(b"\x00\x09\x07version");
        bytes.push(number);
        fs::write(&path, bytes)
    });
    written.map_err(|error| Failed(format!("{}: {error}", path.display()))).map(|()| path)
}

fn push(host: &Host, component: &Path) -> Result<(), Failed> {
    let mut command = Command::new(host::binary());
    command.args(["module", "push"]).arg(component).args(["--canary", "0", "--admin"]);
    let admin = host.admin.map(|admin| format!("http://{admin}")).unwrap_or_default();
    let output = command.arg(admin).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failed(format!("{}: {error}", host::binary().display())))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failed(format!("a push failed: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// The times of all requests, and how long they went on.
pub(crate) struct Times {
    times: Vec<Duration>,
    elapsed: Duration,
}

impl Times {
    /// How many requests they were.
    pub(crate) fn count(&self) -> usize {
        self.times.len()
    }

    /// How many a second.
    pub(crate) fn rate(&self) -> f64 {
        let requests = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        f64::from(requests) / self.elapsed.as_secs_f64()
    }
}

/// Has all connections create and read for as long as `meanwhile` takes.
///
/// # Errors
///
/// [`Failed`] if a request failed, or what `meanwhile` says.
pub(crate) fn under_load<T>(
    address: SocketAddr,
    connections: usize,
    meanwhile: impl FnOnce() -> Result<T, Failed>,
) -> Result<(Times, T), Failed> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let began = Instant::now();
        let clients: Vec<_> =
            (0..connections).map(|_| scope.spawn(|| create_and_read(address, &done))).collect();
        let result = meanwhile();
        done.store(true, Ordering::Relaxed);
        let elapsed = began.elapsed();
        let mut times = Vec::new();
        for client in clients {
            let seen = client.join().unwrap_or_else(|_| Err(std::io::Error::other("a client panicked")));
            times.extend(seen.map_err(|error| Failed(format!("a request failed: {error}")))?);
        }
        Ok((Times { times, elapsed }, result?))
    })
}

fn create_and_read(address: SocketAddr, done: &AtomicBool) -> std::io::Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let mut times = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let began = Instant::now();
        let created = connection.create(ORDER)?;
        times.push(began.elapsed());
        let id = host::field(&created, "id").unwrap_or_default();
        let began = Instant::now();
        let read = connection.get(&format!("/api/v1/orders/{id}"))?;
        times.push(began.elapsed());
        if read != created {
            return Err(std::io::Error::other(format!("{read} was created as {created}")));
        }
    }
    Ok(times)
}

/// The time within which this part of 1000 lies.
fn at(times: &mut [Duration], part: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len() * part).div_ceil(1000).saturating_sub(1)).copied().unwrap_or_default()
}
