//! Imports a file into a store.

use std::{path::Path, sync::Arc, time::Instant};

use super::{
    checksum::Total,
    endpoints::{install_signals, is_standard_stream, location, opened},
    progress::{Progress, rate},
    reader::{Input, ReaderThread},
    target::{Counts, Target},
};
use crate::{
    commands::error::CommandError,
    config::ImportConfig,
    store::{self, Store},
};

/// Imports an exported state into a store. Returns a summary of one line.
///
/// # Errors
///
/// [`CommandError`], which says what the store then holds.
pub async fn import(config: &ImportConfig) -> Result<String, CommandError> {
    let began = Instant::now();
    let mut signals = install_signals()?;
    let location = location(&config.store)?;
    let progress = Arc::new(Progress::new(true));
    let mut reader =
        ReaderThread::start(&config.input, Arc::clone(&progress)).map_err(CommandError::CouldNotRun)?;
    let input = input_name(&config.input);
    // The input is checked before the store is opened, which may create it.
    let entries = tokio::select! {
        first = reader.next() => expect_start(first, &input)?,
        signal = signals.next() => {
            return Err(CommandError::CouldNotRun(format!("interrupted by {signal}: nothing was written")));
        }
    };
    let store = opened(store::open(&location).await)?;
    progress.begin("importing", entries);
    let mut target = Target::new(&*store, config.merge);
    let imported = tokio::select! {
        imported = Box::pin(import_all(&mut target, &mut reader, &progress, &input)) => imported,
        signal = signals.next() => Err(CommandError::Failed(format!("interrupted by {signal}"))),
    };
    let (done, has_written) = (target.done, target.has_written);
    drop(target);
    // Without --merge, a store that is not empty may hold the beginning of the input from an earlier import.
    let untouched =
        !has_written && (config.merge.is_some() || (imported.is_err() && is_empty(&*store).await));
    // Closing the store waits for a commit in flight.
    store.close().await;
    drop(progress);
    match imported {
        Ok(Total { sha256, .. }) => {
            let (what, rate) = (counts_text(&done), rate(done.entries(), began.elapsed()));
            let how = if config.merge.is_some() { "input verified" } else { "verified" };
            Ok(format!("imported {what} into {location} ({rate}), {how}: sha256 {sha256}"))
        }
        Err(CommandError::Failed(why)) if untouched => {
            Err(CommandError::CouldNotRun(format!("{why}; nothing was written")))
        }
        Err(CommandError::Failed(why)) => Err(CommandError::Failed(format!("{why}; {}", incomplete(done)))),
        Err(error) => Err(error),
    }
}

/// The number of entries, if the first line of the input announces it.
fn expect_start(first: Input, input: &str) -> Result<Option<u64>, CommandError> {
    match first {
        Input::Start(entries) => Ok(entries),
        Input::Failed(why) => Err(CommandError::CouldNotRun(format!("cannot read {input}: {why}"))),
        Input::Entries(_) | Input::End(_) => {
            Err(CommandError::CouldNotRun(format!("cannot read {input}: its first line is missing")))
        }
    }
}

async fn import_all(
    target: &mut Target<'_>,
    reader: &mut ReaderThread,
    progress: &Progress,
    input: &str,
) -> Result<Total, CommandError> {
    loop {
        match reader.next().await {
            Input::Entries(entries) => {
                target.import(entries).await?;
                progress.set(target.done.entries());
            }
            Input::End(total) => {
                target.finish(&total, progress).await?;
                return Ok(total);
            }
            Input::Failed(why) => {
                // Write what came before the damage: the import can be resumed with the complete input.
                target.flush().await?;
                return Err(CommandError::Failed(format!("cannot read {input}: {why}")));
            }
            Input::Start(_) => {}
        }
    }
}

async fn is_empty(store: &dyn Store) -> bool {
    let Ok(mut snapshot) = store.snapshot(None).await else { return false };
    snapshot.next().await.is_ok_and(|page| page.is_empty())
}

/// What an unfinished import leaves behind.
fn incomplete(done: Counts) -> String {
    format!(
        "the store is incomplete, do not serve from it: it holds {} entries of the input; run the command again with the \
         complete, undamaged input to resume, or start over with an empty store",
        done.entries()
    )
}

fn counts_text(counts: &Counts) -> String {
    let parts: Vec<_> = [
        (counts.present, "already present"),
        (counts.replaced, "with the store's value replaced"),
        (counts.kept, "with the store's value kept"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    format!("{} entries{parts}", counts.entries())
}

fn input_name(path: &Path) -> String {
    if is_standard_stream(path) { "standard input".to_owned() } else { format!("{path:?}") }
}
