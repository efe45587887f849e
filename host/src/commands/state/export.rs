//! From a snapshot of a store into a file.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    endpoints::{is_standard, location, opened, signals},
    format::{Head, Total},
    progress::{Progress, rate},
    writing::{Output, Writing},
};
use crate::{
    commands::error::CommandError,
    config::{ExportConfig, StoreLocation},
    store::{self, Snapshot, Store},
};

/// How long it may take to remove what was written: standard output may have nobody who reads it.
const GOODBYE: Duration = Duration::from_secs(1);

/// Writes all that a store holds. Returns a summary of one line.
///
/// # Errors
///
/// [`CommandError`]; a file of that name is then as it was.
pub async fn export(config: &ExportConfig) -> Result<String, CommandError> {
    let began = Instant::now();
    let mut signals = signals()?;
    let location = location(&config.store)?;
    if is_its_own(&location, &config.output) {
        let why = format!("cannot write {:?}: it is the store itself", config.output);
        return Err(CommandError::CouldNotRun(why));
    }
    let store = opened(store::open_existing(&location).await)?;
    let exported = tokio::select! {
        exported = Box::pin(write_all(&*store, &location, &config.output)) => exported,
        signal = signals.next() => {
            Err(CommandError::Failed(format!("interrupted by {signal}: {} was not written", named(&config.output))))
        }
    };
    store.close().await;
    let Total { entries, sha256 } = exported?;
    let (output, rate) = (named(&config.output), rate(entries, began.elapsed()));
    Ok(format!("exported {entries} entries of {location} to {output} ({rate}), sha256 {sha256}"))
}

async fn write_all(store: &dyn Store, location: &StoreLocation, path: &Path) -> Result<Total, CommandError> {
    let not_begun = |why: String| CommandError::CouldNotRun(why);
    let output = Output::create(path).map_err(not_begun)?;
    let taken = store.snapshot(None).await;
    let mut snapshot = taken.map_err(|error| CommandError::CouldNotRun(error.to_string()))?;
    // What is written to a terminal must not be drawn over.
    let progress = Progress::new(!(is_standard(path) && io::stdout().is_terminal()));
    progress.begin("counting", None);
    let count = snapshot.count().await.map_err(|error| CommandError::CouldNotRun(error.to_string()))?;
    progress.begin("exporting", count);
    let writing = Writing::start(output, Head::new(location, count))
        .map_err(|error| CommandError::CouldNotRun(format!("cannot start a thread: {error}")))?;
    let failed = |why: String| CommandError::Failed(format!("cannot write {}: {why}", named(path)));
    match pages(&mut *snapshot, &writing, &progress).await {
        Ok(()) => writing.end().await.map_err(failed),
        Err(trouble) => {
            // Whatever is left of it by then is removed by the next export.
            let _ = timeout(GOODBYE, writing.give_up()).await;
            Err(trouble)
        }
    }
}

/// Hands on all pages, or as many as are taken.
async fn pages(
    snapshot: &mut dyn Snapshot,
    writing: &Writing,
    progress: &Progress,
) -> Result<(), CommandError> {
    let mut done = 0_u64;
    loop {
        let page = snapshot.next().await?;
        if page.is_empty() {
            return Ok(());
        }
        done = done.saturating_add(u64::try_from(page.len()).unwrap_or(u64::MAX));
        if writing.write(page).await.is_err() {
            return Ok(());
        }
        progress.at(done);
    }
}

fn named(path: &Path) -> String {
    if is_standard(path) { "standard output".to_owned() } else { format!("{path:?}") }
}

/// Whether the file that would be written is the store.
fn is_its_own(location: &StoreLocation, output: &Path) -> bool {
    let StoreLocation::Sqlite(path) = location else { return false };
    let same = |left: &Path, right: &Path| {
        left.canonicalize().is_ok_and(|left| right.canonicalize().is_ok_and(|right| left == right))
    };
    !is_standard(output) && same(path, output)
}
