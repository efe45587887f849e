//! `cargo xtask watch`: builds the guest whenever its sources change, and pushes it to the host that runs.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, SystemTime},
};

use clap::Args;

use xtask::{
    command::{Failed, build_programs, built, failed, pause, run},
    components,
    host::HOST,
    workspace,
};

/// How often is looked for a change.
const LOOK: Duration = Duration::from_millis(300);
/// What the orders component is made of.
const SOURCES: [&str; 5] = ["guest/src", "guest/openapi.json", "guest/build.rs", "guest/Cargo.toml", "wit"];

/// Where to push to, and how.
#[derive(Args)]
pub(crate) struct Options {
    /// Options for `orders-host module push`; by default `--canary 0`: a developer's requests are too few to compare
    #[arg(last = true)]
    options: Vec<String>,
}

/// Builds and pushes, until it is interrupted. What does not build or is refused is said, and waits for the next change.
///
/// # Errors
///
/// [`Failed`] if the host does not build, or the sources cannot be looked at.
pub(crate) fn forever(options: &Options) -> Result<(), Failed> {
    build_programs(&[HOST])?;
    let options = match options.options.as_slice() {
        [] => &["--canary".to_owned(), "0".to_owned()],
        given => given,
    };
    let mut built = None;
    loop {
        let changed = newest()?;
        if built < Some(changed) {
            built = Some(changed);
            if let Err(Failed(why)) = build_and_push(options) {
                eprintln!("xtask: {why}");
            }
            eprintln!("waiting for a change of the guest");
        }
        pause(LOOK);
    }
}

fn build_and_push(options: &[String]) -> Result<(), Failed> {
    let component = components::orders()?;
    run(Command::new(built(HOST)).args(["module", "push"]).arg(component).args(options))
}

/// When anything that the component is made of was changed last.
fn newest() -> Result<SystemTime, Failed> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut waiting: Vec<PathBuf> = SOURCES.iter().map(|source| workspace().join(source)).collect();
    while let Some(path) = waiting.pop() {
        // An editor may have it renamed at this very moment; it is there the next time.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).map_err(|error| failed(&path, &error))?;
            for entry in entries {
                waiting.push(entry.map_err(|error| failed(&path, &error))?.path());
            }
        } else {
            newest = newest.max(metadata.modified().map_err(|error| failed(&path, &error))?);
        }
    }
    Ok(newest)
}
