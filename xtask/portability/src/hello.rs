//! A component of another toolchain, in our host and in `wasmtime serve`: the same answer.

use std::process::Command;

use orders_bench::client::{Connection, Response};
use xtask::{
    command::{Failed, built},
    host::{self, HOST},
    target,
};

use crate::{languages, results::Row, suite::start, wasmtime};

/// Fields that our host has and `wasmtime serve` has not, each with its reason.
const OURS: [&str; 2] = [
    // Names the request in the log, too.
    "x-request-id",
    // Set on every answer: no browser takes a body for what it is not said to be.
    "x-content-type-options",
];
/// A field of both whose value is the moment's.
const MOMENT: &str = "date";

/// Compares the answers: status, fields and body.
///
/// # Errors
///
/// [`Failed`] if they differ otherwise than is said here, or one did not come.
pub(crate) fn check() -> Result<Row, Failed> {
    languages::components()?;
    let component = target().join("components/languages/javascript/component.wasm");
    let mut ours = Command::new(built(HOST));
    let ours = ask(host::serve(&mut ours, &component, "memory:"))?;
    let theirs = ask(&mut wasmtime::serve(&["-S", "cli"], &component))?;
    let added = OURS.iter().all(|name| ours.fields.iter().any(|(field, _)| field == name));
    if !added || ours.body.is_empty() || without(ours.clone(), &OURS) != without(theirs.clone(), &[]) {
        return Err(Failed(format!("our host answers {ours:?}, wasmtime serve {theirs:?}")));
    }
    let what = "the same status, fields and body as from wasmtime serve, but for `x-request-id` and `x-content-type-options`, \
                which this host adds";
    Ok(Row::new("orders-host", "a `fetch` handler in JavaScript", what))
}

fn ask(command: &mut Command) -> Result<Response, Failed> {
    let serving = start(command)?;
    let answer = Connection::open(serving.address).and_then(|mut to| to.fetch("/hello"));
    answer.map_err(|error| Failed(format!("hello: {error}")))
}

/// The answer without these fields, and without the moment; of that only whether it is there.
fn without(mut answer: Response, names: &[&str]) -> Response {
    answer.fields.retain(|(name, _)| !names.contains(&name.as_str()));
    for (name, value) in &mut answer.fields {
        if name == MOMENT {
            value.clear();
        }
    }
    answer
}
