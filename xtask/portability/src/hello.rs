//! Compares the responses of a JavaScript component on our host and on `wasmtime serve`.

use std::process::Command;

use orders_bench::client::{Answer, Connection};
use xtask::{
    command::{TaskError, debug_program},
    host::{self, HOST},
    target,
};

use crate::{languages, report::TestResult, suite::start, wasmtime};

/// Header fields that only our host adds. The request ID is also in the log; `nosniff` keeps browsers from guessing the
/// type of a body.
const ADDED: [&str; 2] = ["x-request-id", "x-content-type-options"];

/// Compares status, header fields and body.
pub(crate) fn test() -> Result<TestResult, TaskError> {
    languages::components()?;
    let component = target().join("components/languages/javascript/component.wasm");
    let mut ours = Command::new(debug_program(HOST));
    let mut ours = response(host::serve(&mut ours, &component, "memory:"))?;
    let theirs = response(&mut wasmtime::serve(&["-S", "cli"], &component))?;
    let before = ours.fields.len();
    ours.fields.retain(|(name, _)| !ADDED.contains(&name.as_str()));
    let added = before - ours.fields.len();
    if added != ADDED.len() || ours.body.is_empty() || ours != theirs {
        return Err(TaskError(format!(
            "{added} header fields added to {ours:?}; wasmtime serve: {theirs:?}"
        )));
    }
    let passed = "the same status, header fields and body as from wasmtime serve, except `x-request-id` and \
                  `x-content-type-options`, which this host adds";
    Ok(TestResult { host: "orders-host", component: "a `fetch` handler in JavaScript", passed })
}

/// The response of a host, with an empty `date`.
fn response(command: &mut Command) -> Result<Answer, TaskError> {
    let serving = start(command)?;
    let response = Connection::open(serving.address).and_then(|mut to| to.look_whole("/hello"));
    let mut response = response.map_err(|error| TaskError(format!("GET /hello: {error}")))?;
    for (_, value) in response.fields.iter_mut().filter(|(name, _)| name == "date") {
        value.clear();
    }
    Ok(response)
}
