//! `wasmtime serve`, where it has been built: an instance for each request.

use std::{fs::read_dir, path::Path, process::Command};

use orders_bench::{
    client::{Connection, ORDER},
    wasmtime_cli,
};
use xtask::{
    adapters::Adapter,
    command::{Failed, failed},
    serving::Serving,
};

use crate::{
    adapters,
    results::Row,
    suite::{fresh, start, suite},
};

/// Runs the suite with the component that keeps its orders in a folder, and sees what becomes of one that keeps them in
/// memory.
///
/// # Errors
///
/// [`Failed`] if anything is not as it should be.
pub(crate) fn check(python: &Path, rows: &mut Vec<Row>) -> Result<(), Failed> {
    let folder = fresh("wasmtime")?;
    let serve_folder = || start(&mut serve_in(&folder));
    let before = {
        let serving = serve_folder()?;
        suite(python, &serving, "wasmtime")?;
        adapters::orders(&serving)?
        // Killed here, without a word.
    };
    let after = adapters::orders(&serve_folder()?)?;
    if before != after || before.is_empty() {
        return Err(Failed(format!("orders before the restart: {before:?}\nand after it: {after:?}")));
    }
    if read_dir(&folder).map_err(|error| failed(&folder, &error))?.next().is_none() {
        return Err(Failed("the orders are not in the folder that was granted".into()));
    }
    let what = "the whole suite; the same orders after it was killed and started again";
    rows.push(Row::new("wasmtime serve", Adapter::Filesystem.composed(), what));
    rows.push(stateless(&start(&mut serve(&[], &Adapter::Memory.path()))?)?);
    Ok(())
}

/// `wasmtime serve` with the component that keeps its orders in this folder.
pub(crate) fn serve_in(folder: &Path) -> Command {
    let granted = format!("{}::/orders", folder.display());
    serve(&["-S", "cli", "--dir", &granted], &Adapter::Filesystem.path())
}

/// `wasmtime serve` on any free port.
pub(crate) fn serve(options: &[&str], component: &Path) -> Command {
    let mut command = Command::new(wasmtime_cli::wasmtime());
    command.args(["serve", "--addr", "127.0.0.1:0"]).args(options).arg(component);
    command
}

/// What a host does that makes an instance for each request: it creates, and the next request knows nothing of it.
fn stateless(serving: &Serving) -> Result<Row, Failed> {
    let mut connection = Connection::open(serving.address).map_err(|error| Failed(error.to_string()))?;
    let order = connection.create(ORDER);
    let order = order.map_err(|error| Failed(format!("a create: {error}")))?;
    let id = adapters::ids(&order).next().unwrap_or_default();
    let page = connection.get("/api/v1/orders").map_err(|error| Failed(format!("a list: {error}")))?;
    if id.len() != 36 || page.contains(id) {
        return Err(Failed(format!("an instance for each request has kept an order: {page}")));
    }
    let what = "a create; as expected, the next request finds nothing: it has another instance";
    Ok(Row::new("wasmtime serve", Adapter::Memory.composed(), what))
}
