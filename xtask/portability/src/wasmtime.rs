//! Tests `wasmtime serve`, if it is installed. It creates an instance for each request.

use std::{fs::read_dir, path::Path, process::Command};

use orders_bench::{
    client::{Connection, ORDER, Response},
    wasmtime_cli,
};
use xtask::{
    adapters::Adapter,
    command::{TaskError, debug_program, file_error},
    host::{self, HOST},
    target,
};

use crate::{
    adapters::{order_ids, test_restart},
    languages,
    report::TestResult,
    suite::{run_suite, scratch_folder, start},
};

const NAME: &str = "wasmtime serve";
/// Header fields that only our host adds. The request ID is also in the log; `nosniff` keeps browsers from guessing the
/// type of a body.
const ADDED: [&str; 2] = ["x-request-id", "x-content-type-options"];

/// Runs the suite with orders in a folder, checks that orders in memory do not outlive their request, and compares a response
/// with that of our host.
pub(crate) fn test(python: &Path, results: &mut Vec<TestResult>) -> Result<(), TaskError> {
    let folder = scratch_folder("wasmtime")?;
    test_restart(&mut serve_folder(&folder), |serving| run_suite(python, serving, "wasmtime"))?;
    if read_dir(&folder).map_err(|error| file_error(&folder, &error))?.next().is_none() {
        return Err(TaskError("the granted folder does not contain the orders".into()));
    }
    let passed = "the whole suite; the same orders after it was killed and restarted";
    results.push(TestResult { host: NAME, component: Adapter::Filesystem.composed(), passed });
    test_orders_in_memory()?;
    let passed = "a create; as expected, the next request does not find the order: it has another instance";
    results.push(TestResult { host: NAME, component: Adapter::Memory.composed(), passed });
    compare_with_our_host()?;
    let passed = "the same status, header fields and body as from wasmtime serve, except `x-request-id` and \
                  `x-content-type-options`, which this host adds";
    results.push(TestResult { host: HOST, component: "a `fetch` handler in JavaScript", passed });
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

fn test_orders_in_memory() -> Result<(), TaskError> {
    let serving = start(&mut serve(&[], &Adapter::Memory.path()))?;
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

/// Compares status, header fields and body of the responses of a JavaScript component.
fn compare_with_our_host() -> Result<(), TaskError> {
    languages::components()?;
    let component = target().join("components/languages/javascript/component.wasm");
    let mut ours = Command::new(debug_program(HOST));
    let mut ours = response(host::serve(&mut ours, &component, "memory:"))?;
    let theirs = response(&mut serve(&["-S", "cli"], &component))?;
    let before = ours.fields.len();
    ours.fields.retain(|(name, _)| !ADDED.contains(&name.as_str()));
    let added = before - ours.fields.len();
    if added == ADDED.len() && !ours.body.is_empty() && ours == theirs {
        return Ok(());
    }
    Err(TaskError(format!("{added} header fields added to {ours:?}; {NAME}: {theirs:?}")))
}

/// The response of a host, with an empty `date`.
fn response(command: &mut Command) -> Result<Response, TaskError> {
    let serving = start(command)?;
    let response = Connection::open(serving.address).and_then(|mut to| to.fetch("/hello"));
    let mut response = response.map_err(|error| TaskError(format!("GET /hello: {error}")))?;
    for (_, value) in response.fields.iter_mut().filter(|(name, _)| name == "date") {
        value.clear();
    }
    Ok(response)
}
