//! Tests `jco serve`, a host in JavaScript from the npm registry. It keeps one instance alive.

use std::{fs, net::TcpListener, path::Path, process::Command};

use xtask::{
    adapters::Adapter,
    command::{TaskError, file_error},
    tools, workspace,
};

use crate::{
    report::TestResult,
    suite::{run_suite, start},
};

/// Installs jco; returns a function that creates a command to serve the component that stores orders in memory.
pub(crate) fn install(python: &Path) -> Result<impl Fn() -> Result<Command, TaskError> + 'static, TaskError> {
    let source = workspace().join("tests/contract/jco");
    let packages = tools::npm_without_other_platforms("jco-npm", &source, python)?;
    // Node.js looks for the packages beside this file.
    let import = packages.with_file_name("empty-answers.mjs");
    fs::copy(source.join("empty-answers.mjs"), &import).map_err(|error| file_error(&import, &error))?;
    let python = python.to_owned();
    Ok(move || {
        // jco does not support port 0, so this takes a port that was free just now.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = address.map_err(|error| TaskError(error.to_string()))?.port();
        let mut command = tools::node_program(&packages.join(".bin/jco"), &python);
        command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("--jco-import").arg(&import).arg(Adapter::Memory.path());
        Ok(command)
    })
}

/// Runs the suite.
pub(crate) fn test(python: &Path) -> Result<TestResult, TaskError> {
    let serving = start(&mut install(python)?()?)?;
    run_suite(python, &serving, "jco")?;
    let passed = "the whole suite, except two requests that would end jco";
    Ok(TestResult { host: "jco serve", component: Adapter::Memory.composed(), passed })
}
