//! `jco serve`: a host in JavaScript, out of npm's registry. It keeps one instance alive.

use std::{fs, path::Path, process::Command};

use xtask::{
    adapters::Adapter,
    command::{Failed, failed},
    tools, workspace,
};

use crate::{
    results::Row,
    suite::{free_port, start, suite},
};

/// What starts it with the component that keeps its orders in memory.
///
/// # Errors
///
/// [`Failed`] if it cannot be installed.
pub(crate) fn command(python: &Path) -> Result<impl Fn() -> Result<Command, Failed> + 'static, Failed> {
    let source = workspace().join("tests/contract/jco");
    let packages = tools::npm_for_here("jco-npm", &source, python)?;
    // Beside the packages, where Node looks for them.
    let import = packages.with_file_name("empty-answers.mjs");
    fs::copy(source.join("empty-answers.mjs"), &import).map_err(|error| failed(&import, &error))?;
    let python = python.to_owned();
    Ok(move || {
        let mut command = tools::node_program(&packages.join(".bin/jco"), &python);
        command.args(["serve", "--host", "127.0.0.1", "--port"]).arg(free_port()?);
        command.arg("--jco-import").arg(&import).arg(Adapter::Memory.path());
        Ok(command)
    })
}

/// Runs the suite.
///
/// # Errors
///
/// [`Failed`] if it cannot be installed, or an answer is not what it should be.
pub(crate) fn check(python: &Path) -> Result<Row, Failed> {
    let serving = start(&mut command(python)?()?)?;
    suite(python, &serving, "jco")?;
    let what = "the whole suite, but two requests that would end jco";
    Ok(Row::new("jco serve", Adapter::Memory.composed(), what))
}
