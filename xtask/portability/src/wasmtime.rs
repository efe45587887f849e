//! Tests `wasmtime serve`, if it is installed. It creates an instance for each request.

use std::{fs::read_dir, path::Path, process::Command};

use orders_bench::{
    client::{Connection, ORDER},
    wasmtime_cli,
};
use xtask::{
    adapters::Adapter,
    command::{TaskError, file_error},
    serving::Serving,
};

use crate::{
    adapters::{order_ids, orders, require_same_orders},
    report::TestResult,
    suite::{run_suite, scratch_folder, start},
};

const NAME: &str = "wasmtime serve";

/// Runs the suite with orders in a folder, and checks that orders in memory do not outlive their request.
pub(crate) fn test(python: &Path, results: &mut Vec<TestResult>) -> Result<(), TaskError> {
    let folder = scratch_folder("wasmtime")?;
    let before = {
        let serving = start(&mut serve_folder(&folder))?;
        run_suite(python, &serving, "wasmtime")?;
        orders(&serving)?
        // Killed here, without a signal that it could handle.
    };
    require_same_orders(&before, &orders(&start(&mut serve_folder(&folder))?)?)?;
    if read_dir(&folder).map_err(|error| file_error(&folder, &error))?.next().is_none() {
        return Err(TaskError("the granted folder does not contain the orders".into()));
    }
    let passed = "the whole suite; the same orders after it was killed and restarted";
    results.push(TestResult { host: NAME, component: Adapter::Filesystem.composed(), passed });
    forgets_orders(&start(&mut serve(&[], &Adapter::Memory.path()))?)?;
    let passed = "a create; as expected, the next request does not find the order: it has another instance";
    results.push(TestResult { host: NAME, component: Adapter::Memory.composed(), passed });
    Ok(())
}

/// `wasmtime serve` with the component that stores orders in this folder.
pub(crate) fn serve_folder(folder: &Path) -> Command {
    let granted = format!("{}::/orders", folder.display());
    serve(&["-S", "cli", "--dir", &granted], &Adapter::Filesystem.path())
}

/// `wasmtime serve` on any free port.
pub(crate) fn serve(options: &[&str], component: &Path) -> Command {
    let mut command = Command::new(wasmtime_cli::wasmtime());
    command.args(["serve", "--addr", "127.0.0.1:0"]).args(options).arg(component);
    command
}

fn forgets_orders(serving: &Serving) -> Result<(), TaskError> {
    let created = Connection::open(serving.address).and_then(|mut connection| {
        let order = connection.create(ORDER)?;
        Ok((order, connection.get("/api/v1/orders")?))
    });
    let (order, page) = created.map_err(|error| TaskError(format!("{NAME}: {error}")))?;
    let id = order_ids(&order).next().unwrap_or_default();
    if id.len() == 36 && !page.contains(id) {
        return Ok(());
    }
    Err(TaskError(format!("an instance created {order}, and another one lists {page}")))
}
