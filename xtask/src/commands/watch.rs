//! `cargo xtask watch`: builds the component whenever its sources change, and pushes it to the host that `cargo xtask serve` runs, or
//! to another one that its options name.

use std::{
    fs,
    process::Command,
    time::{Duration, SystemTime},
};

use clap::Args;

use xtask::{
    command::{TaskError, build_programs, debug_program, file_error, pause, run},
    components,
    host::HOST,
    operators, workspace,
};

/// How often the sources are checked for changes.
const INTERVAL: Duration = Duration::from_millis(300);
/// The sources of the orders component.
const SOURCES: [&str; 5] = ["guest/src", "guest/openapi.json", "guest/build.rs", "guest/Cargo.toml", "wit"];

/// With this variable, the developer says which service to push to.
const VARIABLE: &str = "ORDERS_ADMIN";

#[derive(Args)]
pub(crate) struct Options {
    /// Options for `orders-host module push`; by default `--canary 0 --watch 0s`, because a developer's requests are too few
    /// to compare
    #[arg(last = true)]
    options: Vec<String>,
}

/// Builds and pushes after each change, until interrupted. Prints the error if the component does not build or is rejected.
pub(crate) fn build_and_push_forever(options: &Options) -> Result<(), TaskError> {
    build_programs(&[HOST])?;
    let default = ["--canary", "0", "--watch", "0s"].map(str::to_owned);
    let options = if options.options.is_empty() { &default } else { options.options.as_slice() };
    let push = |component| {
        let mut command = Command::new(debug_program(HOST));
        command.args(["module", "push"]).arg(component).args(options);
        if !operators::is_configured(options, VARIABLE) {
            command.args(["--admin", &format!("http://{}", operators::ADDRESS), "--admin-token-file"]);
            command.arg(operators::token()?.0);
        }
        run(&mut command)
    };
    let mut built = None;
    loop {
        let changed = last_change()?;
        if built < Some(changed) {
            built = Some(changed);
            if let Err(TaskError(reason)) = components::orders().and_then(push) {
                eprintln!("xtask: {reason}");
            }
            eprintln!("waiting for a change in {}", SOURCES.join(", "));
        }
        pause(INTERVAL);
    }
}

/// The time of the last change to the sources.
fn last_change() -> Result<SystemTime, TaskError> {
    let mut last = SystemTime::UNIX_EPOCH;
    let mut paths = SOURCES.map(|source| workspace().join(source)).to_vec();
    while let Some(path) = paths.pop() {
        // An editor may just be renaming the file; the next check sees it.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let error = |error| file_error(&path, &error);
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).map_err(error)? {
                paths.push(entry.map_err(error)?.path());
            }
        } else {
            last = last.max(metadata.modified().map_err(error)?);
        }
    }
    Ok(last)
}
