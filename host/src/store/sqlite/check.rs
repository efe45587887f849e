//! Checks that a file and its write-ahead log belong together and are whole.
//!
//! A log belongs to a file by its name alone. If a backup is put beside the log of the file that it replaces, SQLite applies that
//! log to the backup. `PRAGMA integrity_check` notices that; `quick_check` does not compare the sequence of rows in a table
//! without row ids, which `entries` is, and so passes one such pair in ten with rows missing.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, Error, ErrorCode};

use super::{
    identity::sidecar,
    open_error::{open_error, sqlite_open_error},
};
use crate::{lifecycle::fault, store::backend::OpenError};

/// A file and its log together have at most this many bytes if a start checks them, 1 GiB: some seconds.
const MAX_CHECKED_BYTES: u64 = 1 << 30;
/// How often the log says that a check goes on.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// SQLite reports its progress each time it has done this much: less than a millisecond of it.
const PROGRESS_STEPS: i32 = 10_000;

/// A log with content begins with one of these: the last bit tells the byte order of its checksums.
pub(super) const LOG_MAGIC: [[u8; 4]; 2] = [[0x37, 0x7f, 0x06, 0x82], [0x37, 0x7f, 0x06, 0x83]];

/// The bytes of the header of a log, and of that of a frame, which precedes each page.
pub(super) const HEADER_BYTES: u64 = 32;
pub(super) const FRAME_HEADER_BYTES: u64 = 24;

/// Whether a log of this many bytes begins like one. Before its first frame is written, its header is on the disk; until then, it may
/// have any content.
pub(super) fn begins_like_a_log(path: &Path, bytes: u64) -> bool {
    const MIN_PAGE_BYTES: u64 = 4096;
    let mut magic = [0; 4];
    bytes <= HEADER_BYTES + FRAME_HEADER_BYTES + MIN_PAGE_BYTES
        || File::open(path).and_then(|log| log.read_exact_at(&mut magic, 0)).is_err()
        || LOG_MAGIC.contains(&magic)
}

/// The bytes of the log that is beside the file.
pub(super) fn log_bytes(path: &Path) -> u64 {
    fs::metadata(sidecar(path, "-wal")).map_or(0, |log| log.len())
}

/// Whether a start checks the file: a process that ended without closing it has left a log, or still writes it.
pub(super) fn is_due(path: &Path) -> bool {
    let log = log_bytes(path);
    log > 0 && total_bytes(path, log) <= MAX_CHECKED_BYTES
}

pub(super) fn total_bytes(path: &Path, log: u64) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len()).saturating_add(log)
}

/// Checks the file and the log that was found beside it, of `log` bytes, at the start.
///
/// # Errors
///
/// [`OpenError`] if they do not belong together, or are damaged. Nothing is written.
pub(super) fn check_found_log(connection: &mut Connection, path: &Path, log: u64) -> Result<(), OpenError> {
    if !begins_like_a_log(&sidecar(path, "-wal"), log) {
        let why = format!(
            "its write-ahead log {:?} was emptied or overwritten, and what it held is lost; restore a backup, or remove that file and \
             {:?} to go on with what {path:?} holds",
            sidecar(path, "-wal"),
            sidecar(path, "-shm")
        );
        return Err(open_error(path, &why));
    }
    let bytes = total_bytes(path, log);
    if bytes > MAX_CHECKED_BYTES {
        tracing::warn!(
            event = "store.check_skipped",
            path = %path.display(),
            bytes,
            "the store was not closed, and is too large to be checked at the start; `orders-host state check` checks it"
        );
        return Ok(());
    }
    let began = Instant::now();
    tracing::info!(
        event = "store.check_started",
        path = %path.display(),
        bytes,
        "the store was not closed: checking that its file and its log are whole"
    );
    fault::hold_at("store.check");
    let mut reported = began;
    let report = move || {
        if reported.elapsed() >= REPORT_INTERVAL {
            reported = Instant::now();
            tracing::info!(
                event = "store.check_continues",
                duration_ms = millis(began),
                "still checking the store"
            );
        }
        // Go on.
        false
    };
    let failed = |error: Error| sqlite_open_error(path, &error);
    connection.progress_handler(PROGRESS_STEPS, Some(report)).map_err(failed)?;
    let found = findings(connection, 1);
    connection.progress_handler(0, None::<fn() -> bool>).map_err(failed)?;
    if let Some(finding) = found.map_err(failed)?.first() {
        let log = sidecar(path, "-wal");
        return Err(open_error(
            path,
            &format!(
                "it is damaged, or its write-ahead log {log:?} is that of another file ({finding}); if a backup was put here, remove \
                 {log:?} and {:?} and start again, otherwise restore a backup",
                sidecar(path, "-shm")
            ),
        ));
    }
    tracing::info!(event = "store.check_passed", duration_ms = millis(began), "the store is whole");
    Ok(())
}

fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What SQLite finds wrong, at most `max` sentences; empty if the file is whole.
pub(super) fn findings(connection: &Connection, max: u32) -> rusqlite::Result<Vec<String>> {
    let check = || {
        let mut statement = connection.prepare(&format!("PRAGMA integrity_check({max})"))?;
        statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
    };
    match check() {
        Ok(found) if found == ["ok"] => Ok(Vec::new()),
        // Some damage prevents the check itself.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            Ok(vec![error.to_string()])
        }
        found => Ok(found?.iter().flat_map(|found| sentences(found)).collect()),
    }
}

/// SQLite returns several findings as the lines of one row, below a heading.
fn sentences(row: &str) -> impl Iterator<Item = String> {
    row.lines().filter(|line| !line.starts_with("***")).map(|line| line.replace(char::is_control, " "))
}
