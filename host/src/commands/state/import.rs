//! From a file into a store.

use std::{path::Path, sync::Arc, time::Instant};

use super::{
    endpoints::{is_standard, location, opened, signals},
    format::Total,
    progress::{Progress, rate},
    reading::{Read, Reading},
    target::{Counts, Target},
};
use crate::{
    commands::error::CommandError,
    config::ImportConfig,
    store::{self, Store},
};

/// Puts what was exported into a store. Returns a summary of one line.
///
/// # Errors
///
/// [`CommandError`], with what the store then holds.
pub async fn import(config: &ImportConfig) -> Result<String, CommandError> {
    let began = Instant::now();
    let mut signals = signals()?;
    let location = location(&config.store)?;
    let progress = Arc::new(Progress::new(true));
    let mut reading =
        Reading::start(&config.input, Arc::clone(&progress)).map_err(CommandError::CouldNotRun)?;
    let input = named(&config.input);
    // Before the store is opened, which may make it.
    let entries = tokio::select! {
        read = reading.next() => begun(read, &input)?,
        signal = signals.next() => {
            return Err(CommandError::CouldNotRun(format!("interrupted by {signal}: nothing was written")));
        }
    };
    let store = opened(store::open(&location).await)?;
    progress.begin("importing", entries);
    let mut target = Target::new(&*store, config.merge);
    let imported = tokio::select! {
        imported = Box::pin(take_all(&mut target, &mut reading, &progress, &input)) => imported,
        signal = signals.next() => Err(CommandError::Failed(format!("interrupted by {signal}"))),
    };
    let (done, begun) = (target.done, target.begun);
    drop(target);
    // Without --merge a store that is not empty may hold the beginning of the input, from before.
    let untouched = !begun && (config.merge.is_some() || (imported.is_err() && is_empty(&*store).await));
    // A commit under way takes place before that.
    store.close().await;
    drop(progress);
    match imported {
        Ok(Total { sha256, .. }) => {
            let (what, rate) = (told(&done), rate(done.entries(), began.elapsed()));
            let how = if config.merge.is_some() { "the input is verified" } else { "verified" };
            Ok(format!("imported {what} into {location} ({rate}), {how}: sha256 {sha256}"))
        }
        Err(CommandError::Failed(why)) if untouched => {
            Err(CommandError::CouldNotRun(format!("{why}; nothing was written")))
        }
        Err(CommandError::Failed(why)) => Err(CommandError::Failed(format!("{why}; {}", left(done)))),
        Err(not_begun) => Err(not_begun),
    }
}

fn begun(read: Read, input: &str) -> Result<Option<u64>, CommandError> {
    match read {
        Read::Begun(entries) => Ok(entries),
        Read::Failed(why) => Err(CommandError::CouldNotRun(format!("cannot read {input}: {why}"))),
        Read::Entries(_) | Read::End(_) => {
            Err(CommandError::CouldNotRun(format!("cannot read {input}: it does not begin")))
        }
    }
}

async fn take_all(
    target: &mut Target<'_>,
    reading: &mut Reading,
    progress: &Progress,
    input: &str,
) -> Result<Total, CommandError> {
    loop {
        match reading.next().await {
            Read::Entries(entries) => {
                target.take(entries).await?;
                progress.at(target.done.entries());
            }
            Read::End(total) => {
                target.finish(&total, progress).await?;
                return Ok(total);
            }
            Read::Failed(why) => {
                // What came before it is written: with all of the input it can be gone on with.
                target.flush().await?;
                return Err(CommandError::Failed(format!("cannot read {input}: {why}")));
            }
            Read::Begun(_) => {}
        }
    }
}

async fn is_empty(store: &dyn Store) -> bool {
    let Ok(mut snapshot) = store.snapshot(None).await else { return false };
    snapshot.next().await.is_ok_and(|page| page.is_empty())
}

/// What an import that has not come to its end leaves.
fn left(done: Counts) -> String {
    format!(
        "the store is incomplete, do not serve from it: {} entries of the input are in it; run the command again with all \
         of a sound input, which goes on from there, or begin anew",
        done.entries()
    )
}

fn told(counts: &Counts) -> String {
    let parts: Vec<_> = [
        (counts.present, "were there"),
        (counts.replaced, "replaced others"),
        (counts.kept, "gave way to others"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    format!("{} entries{parts}", counts.entries())
}

fn named(path: &Path) -> String {
    if is_standard(path) { "standard input".to_owned() } else { format!("{path:?}") }
}
