//! `cargo xtask contract`: the service as its callers see it, held against guest/openapi.json and the RFCs.
//!
//! The tools are Python and Node.js programs of others. What they need is pinned in `tests/contract/`, and installed under
//! `target/tools` only. Each part can be run by hand too: `tests/contract/*.py` take the address of any running service.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use xtask::{
    command::{Failed, announce, build_programs, built, failed, output},
    components,
    host::{self, HOST},
    process::{Group, Process},
    serving::Serving,
    target,
    tools::{self, node_program},
    workspace,
};

/// How long Schemathesis may take. It needs about two minutes on two slow cores.
const FUZZ: Duration = Duration::from_secs(480);
/// How long any other part may take.
const PART: Duration = Duration::from_secs(120);

/// Checks that the programs are there that the contract tests cannot install themselves.
///
/// # Errors
///
/// [`Failed`] with what is missing, and the Debian packages that have it.
pub(crate) fn check_tools() -> Result<(), Failed> {
    let has = |program: &str, arguments: &[&str]| output(Command::new(program).args(arguments)).is_some();
    let mut missing = Vec::new();
    if !has("python3", &["-c", "import ensurepip, venv"]) {
        missing.push("python3 python3-venv");
    }
    if !has("chromium", &["--version"]) || !has("chromedriver", &["--version"]) {
        missing.push("chromium chromium-driver");
    }
    // One of the tests runs the commands of a page of the documentation.
    if !has("bash", &["--version"]) || !has("curl", &["--version"]) {
        missing.push("bash curl");
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failed(format!(
        "the contract tests need programs that are not here: apt-get install {}",
        missing.join(" ")
    )))
}

/// Runs all contract tests against the debug host and the orders component.
///
/// # Errors
///
/// [`Failed`] with the names of the parts that failed: all are run, and each prints what it found.
pub(crate) fn test() -> Result<(), Failed> {
    check_tools()?;
    let component = components::orders()?;
    build_programs(&[HOST])?;
    let python = tools::python("contract-venv", &tools::requirements())?;
    let linters = linters(&python)?;
    let folder = target().join("contract");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;

    let mut host = start_host(&component, &folder)?;
    let url = format!("http://{}", host.address);
    let script = |name: &str| {
        let mut command = Command::new(&python);
        // -B: nothing compiled is left beside the sources.
        command.arg("-B").arg(workspace().join("tests/contract").join(name)).arg(&url);
        // The service is asked directly, whatever the environment says of other addresses.
        command.env("NO_PROXY", "127.0.0.1");
        command
    };
    let mut browser = script("browser.py");
    browser.arg(folder.join("docs.png"));
    let parts = [
        ("redocly", redocly(&linters, &python), PART),
        ("spectral", spectral(&linters, &python), PART),
        ("schemathesis", script("fuzz.py"), FUZZ),
        ("httplint", script("http_lint.py"), PART),
        ("browser", browser, PART),
    ];
    let failures: Vec<String> = parts
        .into_iter()
        .filter_map(|(name, mut command, limit)| {
            println!("\n== {name}\n");
            Process::run(&mut command, limit).err().map(|Failed(why)| format!("{name} ({why})"))
        })
        .collect();
    // A shutdown in order is part of the contract.
    host.stop()?;
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failed(format!("the contract does not hold: {}", failures.join("; "))))
    }
}

/// The folder of the programs that `tests/contract/package-lock.json` lists.
fn linters(python: &Path) -> Result<PathBuf, Failed> {
    Ok(tools::npm("contract-npm", &workspace().join("tests/contract"), python)?.join(".bin"))
}

fn redocly(linters: &Path, python: &Path) -> Command {
    let mut command = node_program(&linters.join("redocly"), python);
    command
        .current_dir(workspace())
        .args(["lint", "--config", "tests/contract/redocly.yaml", "guest/openapi.json"])
        .envs([("REDOCLY_TELEMETRY", "off"), ("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")]);
    command
}

fn spectral(linters: &Path, python: &Path) -> Command {
    let mut command = node_program(&linters.join("spectral"), python);
    command.current_dir(workspace()).args(["lint", "--ruleset", "tests/contract/spectral.yaml"]).args([
        "--fail-severity",
        "hint",
        "guest/openapi.json",
    ]);
    command
}

/// A host that serves on a free port, with SQLite in a folder of its own and its log beside that.
fn start_host(component: &Path, folder: &Path) -> Result<Serving, Failed> {
    let log = folder.join("host.log");
    let mut copy = fs::File::create(&log).map_err(|error| failed(&log, &error))?;
    let store = format!("sqlite:{}", folder.join("orders.db").display());
    let mut command = Command::new(built(HOST));
    host::serve(&mut command, component, &store);
    announce(&command);
    Serving::start(&mut command, Group::Own, move |line| {
        let _ = writeln!(copy, "{line}");
    })
}
