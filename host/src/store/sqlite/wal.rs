//! Keeps the write-ahead log short, and notices if somebody else takes something of it.
//!
//! SQLite would copy the log into the file inside a commit, which would then wait for two more waits for the disk. Here that
//! takes place after the commits have been acknowledged.

use std::{
    ffi::c_int,
    fs::{self, File},
    io,
    mem::ManuallyDrop,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, DEFAULT_NAME, wal::CheckpointMode};

use super::{
    check::{FRAME_HEADER_BYTES, HEADER_BYTES, LOG_MAGIC},
    identity::sidecar,
    open_error::{open_error, sqlite_open_error},
    sql::BUSY_TIMEOUT,
};
use crate::store::{
    backend::OpenError,
    contract::{Reason, StoreError},
};

/// The log is copied into the file each time it has grown by this many pages of 4 KiB: as often as SQLite does by default.
const CHECKPOINT_PAGES: c_int = 1000;

/// The log is cut above this size. SQLite starts it anew only if no read is in flight at that moment; under steady load there
/// always is one.
const MAX_BYTES: u64 = 32 << 20;

/// How long cutting the log waits for reads in flight; no commit runs meanwhile. Ordinary reads take milliseconds.
const TRUNCATE_TIMEOUT: Duration = Duration::from_millis(100);

/// The next attempt to cut it, also if nothing is committed: soon after the end of a long read, and a small part of the time.
const RETRY: Duration = Duration::from_secs(1);

/// A long read is reported after this many failed attempts: an ordinary one may be in flight at one of them.
const ATTEMPTS_BEFORE_WARNING: u32 = 3;

/// The bytes of the header of the index, of which there are two copies. SQLite documents the format (walformat.html).
const INDEX_HEADER_BYTES: usize = 48;

/// How often the index is read if another process changes it meanwhile.
const MAX_CHECKS: usize = 8;

/// The write-ahead log of the connection that commits.
pub(super) struct Log {
    path: PathBuf,
    /// The open log. SQLite's locks are on the store's file and on the index of the log, so closing this descriptor releases none.
    file: File,
    /// The open index of the log. It is never closed, because that would release the locks that this process has on it (POSIX).
    index: ManuallyDrop<File>,
    /// The pages in the log after the last commit; SQLite starts again from the beginning of the file if it can.
    pages: Arc<AtomicI32>,
    /// The pages in the log at the last checkpoint.
    checkpointed: c_int,
    /// When to try again to cut a log that is too large.
    retry_at: Option<Instant>,
    /// Failed attempts in a row to cut it.
    attempts: u32,
    /// Whether the last checkpoint failed.
    failed: bool,
}

impl Log {
    /// Takes the checkpoints of the connection over, which has opened the file at `store` and its log.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the log cannot be opened once more.
    pub(super) fn of(connection: &mut Connection, store: &Path) -> Result<Self, OpenError> {
        let path = sidecar(store, "-wal");
        let read = |path: &Path| {
            File::open(path).map_err(|error| open_error(store, &format!("{path:?} cannot be read: {error}")))
        };
        let (file, index) = (read(&path)?, ManuallyDrop::new(read(&sidecar(store, "-shm"))?));
        let pages = Arc::new(AtomicI32::new(0));
        let written = Arc::clone(&pages);
        // SQLite's own checkpoints are a hook of this kind, which this one replaces.
        let hooked = connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            written.store(pages, Ordering::Relaxed);
            Ok(())
        }));
        hooked.map_err(|error| sqlite_open_error(store, &error))?;
        let mut log =
            Self { path, file, index, pages, checkpointed: 0, retry_at: None, attempts: 0, failed: false };
        // A process that was killed may have left a long one.
        log.retry_at = (log.bytes() > MAX_BYTES).then(Instant::now);
        Ok(log)
    }

    /// Checks that the log still has what was committed to it. SQLite would append to a log that was emptied, cut or overwritten, and
    /// ignore all of it at the next start.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], for good.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.has_lost() {
            Ok(false) => Ok(()),
            Ok(true) => Err(lost().into()),
            Err(error) => Err(lost().with_detail(error).into()),
        }
    }

    fn has_lost(&self) -> io::Result<bool> {
        for _ in 0..MAX_CHECKS {
            let index = self.index_header()?;
            if self.has_all_of(&index)? {
                return Ok(false);
            }
            // Otherwise another process has committed, or has copied the log into the file and cut it.
            if self.index_header()? == index {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn index_header(&self) -> io::Result<[u8; INDEX_HEADER_BYTES]> {
        let mut header = [0; INDEX_HEADER_BYTES];
        self.index.read_exact_at(&mut header, 0).map(|()| header)
    }

    /// Whether the log has the header and the frames of which this header of its index tells.
    fn has_all_of(&self, index: &[u8; INDEX_HEADER_BYTES]) -> io::Result<bool> {
        let [.., page_low, page_high, f0, f1, f2, f3] = *index.first_chunk::<20>().unwrap_or(&[0; 20]);
        let frames = u64::from(u32::from_ne_bytes([f0, f1, f2, f3]));
        if frames == 0 {
            return Ok(true);
        }
        // 65536 does not fit, and is stored as 1.
        let page_bytes = match u16::from_ne_bytes([page_low, page_high]) {
            1 => 65_536,
            bytes => u64::from(bytes),
        };
        let bytes = HEADER_BYTES + frames * (FRAME_HEADER_BYTES + page_bytes);
        let mut header = [0; 24];
        if self.file.metadata()?.len() < bytes {
            return Ok(false);
        }
        self.file.read_exact_at(&mut header, 0)?;
        // The salt changes each time the log begins anew.
        let (salt, expected) = (header.get(16..24), index.get(32..40));
        Ok(header.first_chunk().is_some_and(|magic| LOG_MAGIC.contains(magic)) && salt == expected)
    }

    /// When [`Log::maintain`] has to be called, even if nothing is committed.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether [`Log::maintain`] has something to do: the log has grown, or it is time to try again.
    pub(super) fn is_due(&self) -> bool {
        let pages = self.pages.load(Ordering::Relaxed);
        // Fewer pages than before: SQLite has started the log anew.
        let since = if pages < self.checkpointed { 0 } else { self.checkpointed };
        pages.saturating_sub(since) >= CHECKPOINT_PAGES
            || self.retry_at.is_some_and(|at| Instant::now() >= at)
    }

    /// Copies the log into the file, and cuts it if it is too large. A failure loses nothing: the log stays as it is. Call it
    /// when it is due, once the commits have been acknowledged.
    pub(super) fn maintain(&mut self, connection: &Connection) {
        self.checkpointed = self.pages.load(Ordering::Relaxed);
        let copied = match connection.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE) {
            // Another process does the same at this moment.
            Err(error) if is_busy(&error) => Ok(false),
            other => other.map(|(pages, copied)| pages == copied),
        };
        let all_copied = self.note(copied);
        let bytes = self.bytes();
        if bytes <= MAX_BYTES {
            self.retry_at = None;
            self.attempts = 0;
        } else if all_copied && self.truncate(connection) {
            if self.attempts >= ATTEMPTS_BEFORE_WARNING {
                tracing::info!(event = "store.wal_cut", bytes, "the store's write-ahead log was cut");
            }
            self.checkpointed = 0;
            self.pages.store(0, Ordering::Relaxed);
            self.retry_at = None;
            self.attempts = 0;
        } else {
            self.retry_at = Some(Instant::now() + RETRY);
            self.attempts = self.attempts.saturating_add(1);
            if self.attempts == ATTEMPTS_BEFORE_WARNING && !self.failed {
                in_use(bytes);
            }
        }
    }

    /// Copies the whole log into the file and cuts it, before the connection is closed or because the files are no longer
    /// used. Waits for others as long as a commit does.
    pub(super) fn finish(&mut self, connection: &Connection) {
        match connection.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::TRUNCATE) {
            Err(error) if is_busy(&error) => in_use(self.bytes()),
            other => {
                self.note(other.map(|_| true));
            }
        }
    }

    /// Cuts a log that has been copied as a whole. Returns whether that worked.
    fn truncate(&mut self, connection: &Connection) -> bool {
        let truncated = connection
            .busy_timeout(TRUNCATE_TIMEOUT)
            .and_then(|()| connection.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::TRUNCATE));
        let restored = connection.busy_timeout(BUSY_TIMEOUT);
        match truncated {
            Err(error) if is_busy(&error) => false,
            other => self.note(other.and(restored).map(|()| true)),
        }
    }

    /// Logs the first of several failures. Returns the result, `false` after a failure.
    fn note(&mut self, result: rusqlite::Result<bool>) -> bool {
        match result {
            Ok(done) => {
                self.failed = false;
                done
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!(
                        event = "store.checkpoint_failed",
                        %error,
                        "could not copy the store's write-ahead log into its file"
                    );
                }
                false
            }
        }
    }

    fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |log| log.len())
    }
}

const fn lost() -> Reason {
    Reason::persisting("its write-ahead log was emptied, cut or overwritten")
}

fn in_use(bytes: u64) {
    tracing::warn!(
        event = "store.wal_in_use",
        bytes,
        "the store's write-ahead log cannot be cut: an export or another process is using it"
    );
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Log;
    use crate::store::sqlite::open::open_for_writing;

    /// SQLite would do that in the commit, and its caller would wait for it.
    #[test]
    fn a_long_log_is_copied_after_the_commit_that_made_it_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.db");
        let (mut connection, _) = open_for_writing(&path).unwrap();
        let mut log = Log::of(&mut connection, &path).unwrap();
        let bytes = || fs::metadata(&path).unwrap().len();
        let before = bytes();
        for (number, copied) in [(0, false), (1, true)] {
            // Half of the pages after which the log is copied, and some more.
            connection
                .execute("INSERT INTO entries VALUES (?1, zeroblob(600 * 4096), 1)", [number.to_string()])
                .unwrap();
            assert_eq!(bytes(), before, "it is copied within a commit");
            assert_eq!(log.is_due(), copied, "after {number}");
            if copied {
                log.maintain(&connection);
            }
            assert_eq!(bytes() > before, copied, "after {number}");
        }
    }
}
