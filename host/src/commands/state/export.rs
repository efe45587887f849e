//! Exports a snapshot of a store to a file.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    checksum::Total,
    endpoints::{install_signals, is_standard_stream, location, opened},
    format::Head,
    progress::{Progress, rate},
    writer::{Output, WriterThread},
};
use crate::{
    commands::error::CommandError,
    config::{ExportConfig, StoreLocation},
    lifecycle::blocking::refused,
    store::{self, Snapshot, Store},
};

/// How long an abandoned export may take to remove its file: standard output may block.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(1);

/// Exports all entries of a store. Returns a summary of one line.
///
/// # Errors
///
/// [`CommandError`]; an existing file then stays unchanged.
pub async fn export(config: &ExportConfig) -> Result<String, CommandError> {
    let began = Instant::now();
    let mut signals = install_signals()?;
    let location = location(&config.store)?;
    if is_store_file(&location, &config.output) {
        let why = format!("cannot write {:?}: it is the store itself", config.output);
        return Err(CommandError::CouldNotRun(why));
    }
    let store = opened(store::open_existing(&location).await)?;
    let exported = tokio::select! {
        exported = Box::pin(write_all(&*store, &location, &config.output)) => exported,
        signal = signals.next() => {
            Err(CommandError::Failed(format!("interrupted by {signal}: {} was not written", output_name(&config.output))))
        }
    };
    store.close().await;
    let Total { entries, sha256 } = exported?;
    let (output, rate) = (output_name(&config.output), rate(entries, began.elapsed()));
    Ok(format!("exported {entries} entries of {location} to {output} ({rate}), sha256 {sha256}"))
}

async fn write_all(store: &dyn Store, location: &StoreLocation, path: &Path) -> Result<Total, CommandError> {
    let output = Output::create(path).map_err(CommandError::CouldNotRun)?;
    let mut snapshot = store.snapshot(None).await.map_err(CommandError::could_not_run)?;
    // The progress bar must not overwrite entries on a terminal.
    let progress = Progress::new(!(is_standard_stream(path) && io::stdout().is_terminal()));
    progress.begin("counting", None);
    let count = snapshot.count().await.map_err(CommandError::could_not_run)?;
    progress.begin("exporting", count);
    let writer = WriterThread::start(output, Head::new(location, count))
        .map_err(|error| CommandError::CouldNotRun(format!("cannot start a thread: {}", refused(&error))))?;
    let failed = |why: String| CommandError::Failed(format!("cannot write {}: {why}", output_name(path)));
    match write_pages(&mut *snapshot, &writer, &progress).await {
        Ok(()) => writer.finish().await.map_err(failed),
        Err(error) => {
            // If the time is not enough, the next export overwrites the partial file.
            let _ = timeout(ABANDON_TIMEOUT, writer.abandon()).await;
            Err(error)
        }
    }
}

/// Passes all pages to the writer, until it has failed.
async fn write_pages(
    snapshot: &mut dyn Snapshot,
    writer: &WriterThread,
    progress: &Progress,
) -> Result<(), CommandError> {
    let mut done = 0_u64;
    loop {
        let page = snapshot.next().await?;
        if page.is_empty() {
            return Ok(());
        }
        done = done.saturating_add(u64::try_from(page.len()).unwrap_or(u64::MAX));
        if writer.write(page).await.is_err() {
            return Ok(());
        }
        progress.set(done);
    }
}

fn output_name(path: &Path) -> String {
    if is_standard_stream(path) { "standard output".to_owned() } else { format!("{path:?}") }
}

/// Whether the output is the database file of the store.
fn is_store_file(location: &StoreLocation, output: &Path) -> bool {
    let StoreLocation::Sqlite(path) = location else { return false };
    let same = |left: &Path, right: &Path| {
        left.canonicalize().is_ok_and(|left| right.canonicalize().is_ok_and(|right| left == right))
    };
    !is_standard_stream(output) && same(path, output)
}
