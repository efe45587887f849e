//! `cargo xtask swaps`: how requests are affected when the component is replaced repeatedly.
//!
//! Two versions of the orders component, the release build of the host, SQLite, and clients that continuously create orders
//! and read them back. The baseline is the same load without swaps, before and after.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use clap::Args;

use orders_bench::load::{Latencies, Load, under_load};
use xtask::{
    command::{TaskError, pause},
    components::another_version,
    host,
};

use crate::{
    host::{Host, build, empty_folder},
    table::Table,
};

/// How much to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// How often to replace the component
    #[arg(long, default_value_t = 100)]
    swaps: u32,
    /// The duration of the load with swaps, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Concurrent connections
    #[arg(long, default_value_t = 32)]
    connections: usize,
}

/// Measures the load without and with swaps, and prints the comparison.
pub(crate) fn run(options: &Options) -> Result<(), TaskError> {
    let component = build()?;
    let folder = empty_folder("swaps")?;
    let first = another_version(&component, 1, &folder)?;
    let second = another_version(&component, 2, &folder)?;

    let modules = folder.join("modules").display().to_string();
    let admin = format!("unix:{}", folder.join("admin").display());
    let serve = ["--admin-listen", &admin, "--module-dir", &modules, "--watch", "0s"];
    let mut host = Host::start(&first, &folder, false, &serve)?;
    // From here on each version is compiled already, as one is that comes back.
    push(&host, &second)?;
    push(&host, &first)?;

    let (address, duration) = (host.address(), Duration::from_secs(options.seconds.into()));
    let baseline = || {
        let half = under_load(address, options.connections, || {
            pause(duration / 2);
            Ok(())
        });
        half.map(|(load, ())| load)
    };
    let before = baseline()?;
    let interval = duration / options.swaps.max(1);
    let (with, pushes) = under_load(address, options.connections, || {
        let began = Instant::now();
        let mut pushes = Vec::new();
        for (number, component) in (0..options.swaps).zip([&second, &first].into_iter().cycle()) {
            pause((interval * number).saturating_sub(began.elapsed()));
            let pushed = Instant::now();
            push(&host, component)?;
            pushes.push(pushed.elapsed());
        }
        pause((interval * options.swaps).saturating_sub(began.elapsed()));
        Ok(pushes)
    })?;
    let without = before.merge(baseline()?);
    host.stop()?;
    print(options, &Latencies::from(pushes), &without, &with);
    Ok(())
}

fn print(options: &Options, pushes: &Latencies, without: &Load, with: &Load) {
    println!(
        "{} swaps in {} s, {} connections; a push takes {:.1?} (median) and {:.1?} (longest)",
        options.swaps,
        options.seconds,
        options.connections,
        pushes.percentile(500),
        pushes.percentile(1000)
    );
    let mut table = Table::new(["", "without", "with", "ratio"]);
    let rates = [without, with].map(Load::rate);
    let ratio = rates[1] / rates[0];
    table.row([
        "requests/s".to_owned(),
        format!("{:.0}", rates[0]),
        format!("{:.0}", rates[1]),
        format!("{ratio:.2}"),
    ]);
    for (name, tenths) in [("p50", 500), ("p99", 990), ("p99.9", 999), ("longest", 1000)] {
        let [without, with] = [without, with].map(|load| load.latencies.percentile(tenths));
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        table.row([name.to_owned(), format!("{without:.2?}"), format!("{with:.2?}"), format!("{ratio:.2}")]);
    }
    print!("{}", table.text());
    println!("{} requests during the swaps, all with the expected response", with.count());
}

fn push(host: &Host, component: &Path) -> Result<(), TaskError> {
    let admin = host.admin.as_deref().unwrap_or_default();
    let mut command = Command::new(host::binary());
    command.args(["module", "push"]).arg(component).args(["--canary", "0", "--admin", admin]);
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| TaskError(format!("{}: {error}", host::binary().display())))?;
    if output.status.success() {
        return Ok(());
    }
    Err(TaskError(format!("a push failed: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
