//! `cargo xtask swaps`: what requests notice of it when the component is replaced again and again.
//!
//! Two versions of the orders component, the release build, SQLite, and clients that create orders and read them back
//! without a pause. The same clients without swaps, before and after, are the measure.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use clap::Args;

use orders_bench::load::{under_load, within};
use xtask::{
    command::{Failed, pause},
    components::another_version,
    host,
};

use crate::host::{Host, build, empty_folder};

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
    let component = build()?;
    let folder = empty_folder("swaps")?;
    let [first, second] = [1, 2].map(|number| another_version(&component, number, &folder));
    let (first, second) = (first?, second?);

    let modules = folder.join("modules").display().to_string();
    let serve = ["--admin-listen", "127.0.0.1:0", "--module-dir", &modules, "--watch", "0s"];
    let mut host = Host::start(&first, &folder, false, &serve)?;
    // Each was compiled once before, as it is when a version comes back.
    push(&host, &second)?;
    push(&host, &first)?;

    let half = Duration::from_secs(u64::from(options.seconds)) / 2;
    let address = host.address();
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
    without.extend(after);
    host.stop()?;

    println!(
        "{} swaps in {} s, {} connections; a push takes {:.1?} (median) and {:.1?} (longest)",
        options.swaps,
        options.seconds,
        options.connections,
        within(&mut pushes, 500),
        within(&mut pushes, 1000)
    );
    println!("{:<14}{:>12}{:>12}{:>8}", "", "without", "with", "ratio");
    let rates = [without.rate(), with.rate()];
    println!("{:<14}{:>12.0}{:>12.0}{:>8.2}", "requests/s", rates[0], rates[1], rates[1] / rates[0]);
    for (name, part) in [("p50", 500), ("p99", 990), ("p99.9", 999), ("longest", 1000)] {
        let (without, with) = (without.within(part), with.within(part));
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        println!("{name:<14}{:>12}{:>12}{ratio:>8.2}", format!("{without:.2?}"), format!("{with:.2?}"));
    }
    println!("{} requests during the swaps, each answered as it should be", with.count());
    Ok(())
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
