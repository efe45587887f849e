//! `cargo xtask contract`: tests the service from outside, against its API description and the RFCs.
//!
//! The tools are third-party programs in Python and Node.js, pinned in `tests/contract/` and installed under `target/tools`.
//! Each test can also be run by hand: `tests/contract/*.py` accept the address of any running service.

use std::{fs, io::Write, path::Path, process::Command, time::Duration};

use xtask::{
    command::{TaskError, announce, build_programs, debug_program, empty_folder, file_error},
    components,
    host::{self, HOST},
    process::{Group, Process},
    serving::Serving,
    target,
    tools::{self, VENV, node_program},
    workspace,
};

/// The limit for Schemathesis. It needs about two minutes on two slow cores.
const FUZZ_LIMIT: Duration = Duration::from_secs(480);
/// The limit for any other test.
const LIMIT: Duration = Duration::from_secs(120);

/// Checks that the programs are installed that the contract tests cannot install themselves.
pub(crate) fn check_tools() -> Result<(), TaskError> {
    let version: &[&str] = &["--version"];
    tools::require(
        "the contract tests",
        "./dev test",
        &[
            ("Python 3 with venv", "python3", &VENV),
            ("chromium", "chromium", version),
            ("chromedriver", "chromedriver", version),
            // A test runs the commands of a page of the documentation.
            ("bash", "bash", version),
            ("curl", "curl", version),
        ],
    )
}

/// Runs all contract tests against the debug host and the orders component, and reports all that fail.
pub(crate) fn test() -> Result<(), TaskError> {
    check_tools()?;
    let component = components::orders()?;
    build_programs(&[HOST])?;
    let python = tools::python("contract-venv", &tools::requirements())?;
    let linters = tools::npm("contract-npm", &workspace().join("tests/contract"), &python)?.join(".bin");
    let folder = target().join("contract");
    empty_folder(&folder)?;

    let mut host = start_host(&component, &folder)?;
    let url = format!("http://{}", host.address);
    let script = |name: &str| {
        let mut command = Command::new(&python);
        // -B: write no compiled files beside the sources. NO_PROXY: bypass a proxy that the environment sets.
        command.arg("-B").arg(workspace().join("tests/contract").join(name)).arg(&url);
        command.env("NO_PROXY", "127.0.0.1");
        command
    };
    let description = folder.join("openapi.json");
    download(&format!("{url}/openapi.json"), &description)?;
    let linter = |name: &str, arguments: &[&str]| {
        let mut command = node_program(&linters.join(name), &python);
        command.current_dir(workspace()).arg("lint").args(arguments).arg(&description);
        command
    };
    let mut redocly = linter("redocly", &["--config", "tests/contract/redocly.yaml"]);
    redocly.envs([("REDOCLY_TELEMETRY", "off"), ("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")]);
    let spectral = ["--ruleset", "tests/contract/spectral.yaml", "--fail-severity", "hint"];
    let mut browser = script("browser.py");
    browser.arg(folder.join("docs.png"));
    let tests = [
        ("redocly", redocly, LIMIT),
        ("spectral", linter("spectral", &spectral), LIMIT),
        ("schemathesis", script("fuzz.py"), FUZZ_LIMIT),
        ("httplint", script("http_lint.py"), LIMIT),
        ("browser", browser, LIMIT),
    ];
    let mut failures = Vec::new();
    for (name, mut command, limit) in tests {
        println!("\n== {name}\n");
        if let Err(TaskError(reason)) = Process::run(&mut command, limit) {
            failures.push(format!("{name} ({reason})"));
        }
    }
    // The exit status after a shutdown is part of the contract.
    host.stop()?;
    if failures.is_empty() {
        return Ok(());
    }
    Err(TaskError(format!("contract tests failed: {}", failures.join("; "))))
}

/// Saves the description as the service serves it: `guest/openapi.json` lacks what all operations have in common.
fn download(url: &str, to: &Path) -> Result<(), TaskError> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--output"]).arg(to).arg(url);
    Process::run(&mut curl, LIMIT)
}

/// Starts a host on a free port. Its SQLite store and its log are in `folder`.
fn start_host(component: &Path, folder: &Path) -> Result<Serving, TaskError> {
    let path = folder.join("host.log");
    let mut log = fs::File::create(&path).map_err(|error| file_error(&path, &error))?;
    let mut command = Command::new(debug_program(HOST));
    host::serve(&mut command, component, &format!("sqlite:{}", folder.join("orders.db").display()));
    announce(&command);
    Serving::start(&mut command, Group::Own, move |line| {
        let _ = writeln!(log, "{line}");
    })
}
