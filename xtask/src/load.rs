//! `cargo xtask load`: durable creates as fast as some connections can ask for them, and what they cost.
//!
//! It measures the release build over a real socket and a real disk. Ratios against other services are the
//! business of a benchmark; here the question is how many commits share one fsync.

use std::{
    fs,
    io::BufReader,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use crate::{
    client::{Connection, ORDER},
    command::{Failed, cargo, run},
    components,
    host::{self, field, line_with},
    target,
};

/// How much load.
#[derive(Args)]
pub(crate) struct Options {
    /// Orders to create in all
    #[arg(long, default_value_t = 10_000)]
    creates: usize,
    /// Connections that create at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Run the host under strace and count its system calls as well; slower
    #[arg(long)]
    strace: bool,
}

/// Runs the load and prints what came of it.
///
/// # Errors
///
/// [`Failed`] if anything did not go as it should: an answer other than 201 counts as that.
pub(crate) fn measure(options: &Options) -> Result<(), Failed> {
    let component = components::orders()?;
    run(&mut cargo(["build", "--package", "orders-host", "--profile", "release", "--locked"]))?;
    let folder = target().join("load");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| Failed(format!("{}: {error}", folder.display())))?;

    let mut host = Host::start(&component, &folder, options.strace, &[])?;
    let began = Instant::now();
    let mut times = create_all(host.address, options.creates, options.connections, |_| ORDER.to_owned())?;
    let elapsed = began.elapsed();
    let (commits, transactions) = host.stop()?;

    times.sort_unstable();
    let at =
        |share: usize| times.get(times.len().saturating_sub(1) * share / 100).copied().unwrap_or_default();
    println!("creates        {} over {} connections, in {:.2?}", times.len(), options.connections, elapsed);
    println!("creates/s      {}", per_second(times.len(), elapsed));
    println!("fsyncs/s       {} (one a transaction)", per_second(transactions, elapsed));
    println!(
        "creates/fsync  {}.{:02}",
        commits / transactions.max(1),
        commits * 100 / transactions.max(1) % 100
    );
    println!("time           median {:.2?}, 99th percentile {:.2?}", at(50), at(99));
    Ok(())
}

fn per_second(count: usize, elapsed: Duration) -> u128 {
    let count = u128::try_from(count).unwrap_or(u128::MAX);
    count.saturating_mul(1_000_000) / elapsed.as_micros().max(1)
}

/// A host that serves on a free port, with SQLite in a folder of its own.
pub(crate) struct Host {
    child: Child,
    log: BufReader<std::process::ChildStdout>,
    pub(crate) address: SocketAddr,
    /// Where it hears operators.
    pub(crate) admin: Option<SocketAddr>,
    strace: bool,
}

impl Host {
    pub(crate) fn start(
        component: &Path,
        folder: &Path,
        strace: bool,
        options: &[&str],
    ) -> Result<Self, Failed> {
        let binary = host::binary();
        let mut command = if strace { Command::new("strace") } else { Command::new(&binary) };
        if strace {
            command
                .args(["--follow-forks", "--quiet=attach,exit", "--summary-only", "--trace=fsync,fdatasync"])
                .arg(&binary);
        }
        let store = format!("sqlite:{}", folder.join("orders.db").display());
        let mut child = host::serve(&mut command, component, &store)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failed(format!("cannot run {}: {error}", binary.display())))?;
        let Some(output) = child.stdout.take() else { return Err(Failed("the host has no output".into())) };
        let mut log = BufReader::new(output);
        let serving = line_with(&mut log, "\"message\":\"serving\"")?;
        let address = |name| field(&serving, name).and_then(|address| address.parse().ok());
        let admin = address("admin_address");
        let address = address("address").ok_or_else(|| Failed(format!("no address in {serving}")))?;
        Ok(Self { child, log, address, admin, strace })
    }

    /// Ends it, and gives the commits and transactions that its store made.
    pub(crate) fn stop(&mut self) -> Result<(usize, usize), Failed> {
        let child = self.child.id().to_string();
        // Under strace the host is the child's child.
        let (program, whom) = if self.strace { ("pkill", "-P") } else { ("kill", "--") };
        run(Command::new(program).args(["-TERM", whom, &child]))?;
        let closed = line_with(&mut self.log, "\"the store is closed\"")?;
        let number = |name| {
            let digits = closed.split_once(&format!("\"{name}\":")).map_or("", |(_, rest)| rest);
            let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().map_err(|_| Failed(format!("no {name} in {closed}")))
        };
        let counted = (number("commits")?, number("transactions")?);
        match self.child.wait() {
            Ok(status) if status.success() => Ok(counted),
            Ok(status) => Err(Failed(format!("the host ended with {status}"))),
            Err(error) => Err(Failed(format!("the host: {error}"))),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// Creates orders on all connections until there are enough; gives the time each took. `order` makes the body of each,
/// from its number, which counts down.
pub(crate) fn create_all(
    address: SocketAddr,
    creates: usize,
    connections: usize,
    order: impl Fn(usize) -> String + Sync,
) -> Result<Vec<Duration>, Failed> {
    let left = AtomicUsize::new(creates);
    let take_one =
        || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok();
    let (order, take_one) = (&order, &take_one);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(address)?;
                    let mut times = Vec::new();
                    while let Some(number) = take_one() {
                        let order = order(number);
                        let began = Instant::now();
                        connection.create(&order)?;
                        times.push(began.elapsed());
                    }
                    Ok(times)
                })
            })
            .collect();
        let mut all = Vec::with_capacity(creates);
        for client in clients {
            let times: Result<Vec<Duration>, std::io::Error> =
                client.join().unwrap_or_else(|_| Err(std::io::Error::other("a client panicked")));
            all.extend(times.map_err(|error| Failed(format!("a create failed: {error}")))?);
        }
        Ok(all)
    })
}
