//! `cargo xtask portability`: the component, composed with an adapter of its store, in hosts of others.
//!
//! The suite is `contract/http_lint.py`, the one that our own host is held to; what is otherwise in a host stands there, by
//! name and with its reason. Hosts that cannot be had here are looked at as far as that goes: what the component imports
//! must be what they say they have.

mod report;
mod serving;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use clap::Args;

use crate::{
    client::{Connection, ORDER},
    command::{Failed, cargo, failed, run},
    components,
    compose::{self, Kind},
    host, languages,
    process::Process,
    target, tools, workspace,
};

use self::{report::Row, serving::Serving};

/// How long the suite may take in one host.
const SUITE: Duration = Duration::from_secs(120);
/// How often hosts take turns in being measured.
const ROUNDS: u32 = 3;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Measure, too: each host answers creates for so many seconds, three times
    #[arg(long)]
    seconds: Option<u64>,
    /// Write docs/portability.md's table
    #[arg(long)]
    write: bool,
}

/// A component in a host.
struct Placed {
    host: &'static str,
    component: &'static str,
    command: Box<dyn Fn() -> Result<Command, Failed>>,
}

/// Runs all that can be run, and prints what passed.
///
/// # Errors
///
/// [`Failed`] with the first that does not do what it should.
pub(crate) fn run_all(options: &Options) -> Result<(), Failed> {
    let composed = compose::all()?;
    let python = tools::python("contract-venv", &tools::requirements())?;
    let mut rows = structural();
    let memory = path(Kind::Memory);

    let jco = jco(&python)?;
    {
        let serving = Serving::start(&mut jco()?)?;
        suite(&python, &serving, "jco")?;
        rows.push(Row::new(
            "jco serve",
            "orders-memory.wasm",
            "the whole suite, but two requests that would end jco",
        ));
    }
    let mut script = Command::new(&python);
    script.arg("-B").arg(workspace().join("contract/wasmtime_python.py")).arg(&memory);
    Process::run(&mut script, SUITE)?;
    let what = "linked and instantiated; the package has no way to ask it";
    rows.push(Row::new("wasmtime for Python", "orders-memory.wasm", what));

    let mut placed =
        vec![Placed { host: "jco serve", component: "orders-memory.wasm", command: Box::new(jco) }];
    if wasmtime().exists() {
        in_wasmtime(&python, &mut rows)?;
        rows.push(same_bytes()?);
        placed.push(Placed {
            host: "wasmtime serve",
            component: "orders-memory.wasm",
            command: Box::new(|| Ok(wasmtime_serve(&[], &path(Kind::Memory)))),
        });
        placed.push(Placed {
            host: "wasmtime serve",
            component: "orders-filesystem.wasm",
            command: Box::new(|| Ok(wasmtime_serve(&granted(&fresh("rate")?), &path(Kind::Filesystem)))),
        });
    } else {
        println!("wasmtime serve is not here: cargo xtask bench --with-wasmtime-serve builds it");
    }
    let rates = options.seconds.map(|seconds| measure(placed, Duration::from_secs(seconds))).transpose()?;
    let table = report::markdown(&rows, &composed, rates.as_deref())?;
    println!("\n{table}");
    if options.write { report::write(&table) } else { Ok(()) }
}

/// What only the imports say; `compose` has looked at them.
fn structural() -> Vec<Row> {
    let what = "imports only what the host publishes; not run: it cannot be had from a registry";
    vec![Row::new("Spin 3", "orders-spin.wasm", what), Row::new("wasmCloud", "orders-keyvalue.wasm", what)]
}

/// What starts `jco serve` with the component that keeps its orders in memory.
fn jco(python: &Path) -> Result<impl Fn() -> Result<Command, Failed> + 'static, Failed> {
    let source = workspace().join("contract/jco");
    let packages = tools::npm_for_here("jco-npm", &source, python)?;
    // Beside the packages, where Node looks for them.
    let import = packages.with_file_name("empty-answers.mjs");
    fs::copy(source.join("empty-answers.mjs"), &import).map_err(|error| failed(&import, &error))?;
    let python = python.to_owned();
    Ok(move || {
        let mut command = tools::node_program(&packages.join(".bin/jco"), &python);
        command.args(["serve", "--host", "127.0.0.1", "--port"]).arg(serving::free_port()?);
        command.arg("--jco-import").arg(&import).arg(path(Kind::Memory));
        Ok(command)
    })
}

fn in_wasmtime(python: &Path, rows: &mut Vec<Row>) -> Result<(), Failed> {
    let folder = fresh("orders")?;
    let start = || Serving::start(&mut wasmtime_serve(&granted(&folder), &path(Kind::Filesystem)));
    let list = |serving: &Serving| {
        let page = Connection::open(serving.address).and_then(|mut to| to.get("/api/v1/orders?limit=100"));
        page.map_err(|error| Failed(format!("wasmtime serve: {error}")))
    };
    let before = {
        let serving = start()?;
        suite(python, &serving, "wasmtime")?;
        list(&serving)?
        // Killed here, without a word.
    };
    let after = list(&start()?)?;
    if before != after || !before.contains("\"id\"") {
        return Err(Failed(format!("orders before the restart: {before}\nand after it: {after}")));
    }
    let what = "the whole suite; the same orders after it was killed and started again";
    rows.push(Row::new("wasmtime serve", "orders-filesystem.wasm", what));
    stateless(&Serving::start(&mut wasmtime_serve(&[], &path(Kind::Memory)))?, rows)?;
    Ok(())
}

/// What a host does that makes an instance for each request: it creates, and the next request knows nothing of it.
fn stateless(serving: &Serving, rows: &mut Vec<Row>) -> Result<(), Failed> {
    let mut connection = Connection::open(serving.address).map_err(|error| Failed(error.to_string()))?;
    let order = connection.create(ORDER).map_err(|error| Failed(format!("a create: {error}")))?;
    let id = order.split('"').nth(3).unwrap_or_default();
    let page = connection.get("/api/v1/orders").map_err(|error| Failed(format!("a list: {error}")))?;
    if id.len() != 36 || page.contains(id) {
        return Err(Failed(format!("an instance for each request has kept an order: {page}")));
    }
    let what = "a create; as expected, the next request finds nothing: it has another instance";
    rows.push(Row::new("wasmtime serve", "orders-memory.wasm", what));
    Ok(())
}

/// A component of another toolchain answers the same bytes in our host and in `wasmtime serve`.
fn same_bytes() -> Result<Row, Failed> {
    languages::components()?;
    let component = target().join("components/languages/javascript/component.wasm");
    run(&mut cargo(["build", "--workspace", "--bins", "--locked"]))?;
    let ours = Serving::start(&mut ours(&component))?;
    let theirs = Serving::start(&mut wasmtime_serve(&["-S".into(), "cli".into()], &component))?;
    let ask = |serving: &Serving| {
        let page = Connection::open(serving.address).and_then(|mut to| to.get("/hello"));
        page.map_err(|error| Failed(format!("hello: {error}")))
    };
    let (ours, theirs) = (ask(&ours)?, ask(&theirs)?);
    if ours != theirs || ours.is_empty() {
        return Err(Failed(format!("our host answers {ours:?}, wasmtime serve {theirs:?}")));
    }
    Ok(Row::new("orders-host", "a `fetch` handler in JavaScript", "the same body as from wasmtime serve"))
}

/// The rates of all in creates a second by one connection: the medians of some rounds, in which they take turns.
fn measure(
    mut placed: Vec<Placed>,
    time: Duration,
) -> Result<Vec<(&'static str, &'static str, f64)>, Failed> {
    let component = components::orders()?;
    run(&mut cargo(["build", "--workspace", "--bins", "--locked"]))?;
    let command = Box::new(move || Ok(ours(&component)));
    placed.insert(0, Placed { host: "orders-host, debug build", component: "orders.wasm", command });
    let mut rates = vec![Vec::new(); placed.len()];
    for _ in 0..ROUNDS {
        for (placed, rates) in placed.iter().zip(&mut rates) {
            let serving = Serving::start(&mut (placed.command)()?)?;
            rates.push(rate(&serving, time).map_err(|error| Failed(format!("{}: {error}", placed.host)))?);
        }
    }
    Ok(placed
        .iter()
        .zip(rates)
        .map(|(placed, mut rates)| {
            rates.sort_by(f64::total_cmp);
            (placed.host, placed.component, rates.get(rates.len() / 2).copied().unwrap_or_default())
        })
        .collect())
}

fn rate(serving: &Serving, time: Duration) -> std::io::Result<f64> {
    let mut connection = Connection::open(serving.address)?;
    connection.create(ORDER)?;
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < time {
        connection.create(ORDER)?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

fn suite(python: &Path, serving: &Serving, host: &str) -> Result<(), Failed> {
    let mut command = Command::new(python);
    command.arg("-B").arg(workspace().join("contract/http_lint.py"));
    command.arg(format!("http://{}", serving.address)).arg(host).env("NO_PROXY", "127.0.0.1");
    Process::run(&mut command, SUITE)
}

fn ours(component: &Path) -> Command {
    let mut command = Command::new(target().join("debug/orders-host"));
    host::serve(&mut command, component, "memory:");
    command
}

fn wasmtime_serve(options: &[String], component: &Path) -> Command {
    let mut command = Command::new(wasmtime());
    command.args(["serve", "--addr", "127.0.0.1:0"]).args(options).arg(component);
    command
}

fn wasmtime() -> PathBuf {
    crate::bench::wasmtime()
}

/// The options that grant a folder.
fn granted(folder: &Path) -> Vec<String> {
    vec!["-S".into(), "cli".into(), "--dir".into(), format!("{}::/orders", folder.display())]
}

/// An empty folder of this name.
fn fresh(name: &str) -> Result<PathBuf, Failed> {
    let folder = target().join("portability").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    Ok(folder)
}

fn path(kind: Kind) -> PathBuf {
    target().join("components").join(kind.file())
}
