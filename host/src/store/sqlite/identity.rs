//! Notices that the paths of the store no longer name the files that are open.
//!
//! If its files are deleted or replaced, SQLite goes on with the ones that it has open. What it commits from then on ends with
//! the process, so none of it may be acknowledged.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, DEFAULT_NAME, FileControl};

use super::open_error::{open_error, sqlite_open_error};
use crate::store::{
    backend::OpenError,
    contract::{Reason, StoreError},
};

/// The files of an open store: the file itself, its write-ahead log, and the index of that.
pub(super) struct Identity {
    files: [(PathBuf, FileId); 3],
}

/// Device and inode.
type FileId = (u64, u64);

impl Identity {
    /// Takes the identity of the files that the connection has open. It must have read in WAL mode, so that all of them exist.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if a file is missing, or was replaced since it was opened.
    pub(super) fn of(connection: &Connection, path: &Path) -> Result<Self, OpenError> {
        let identified = |path: PathBuf| file_id(&path).map(|id| (path, id));
        let files = || {
            // The path as given may be a link, which may be made to point elsewhere.
            let file = identified(path.to_owned())?;
            Ok([file, identified(sidecar(path, "-wal"))?, identified(sidecar(path, "-shm"))?])
        };
        let files = files().map_err(|error: io::Error| open_error(path, &error.to_string()))?;
        let mut moved = 0;
        connection
            .file_control(DEFAULT_NAME, FileControl::HasMoved(&mut moved))
            .map_err(|error| sqlite_open_error(path, &error))?;
        if moved == 0 {
            Ok(Self { files })
        } else {
            Err(open_error(path, "it was replaced meanwhile; start again"))
        }
    }

    /// Checks that each path still names the same file: three system calls, a few microseconds.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], until the files are back.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.replaced().map_or(Ok(()), |_| Err(moved()))
    }

    /// The path of the first file that was moved, deleted or replaced.
    pub(super) fn replaced(&self) -> Option<&Path> {
        self.files.iter().find(|file| !is_in_place(file)).map(|(path, _)| path.as_path())
    }

    /// Whether the file, its log and the index of the log are in place.
    pub(super) fn in_place(&self) -> [bool; 3] {
        self.files.each_ref().map(is_in_place)
    }

    /// Removes the names of the log and of its index, if they still are those of the open ones: whoever opens the file that is
    /// now at the path would take this log for its own. The store cannot be used again then.
    pub(super) fn remove_log(&self) {
        let [_, log, index] = &self.files;
        for file in [log, index].into_iter().filter(|file| is_in_place(file)) {
            let _ = fs::remove_file(&file.0);
        }
    }
}

fn is_in_place((path, id): &(PathBuf, FileId)) -> bool {
    file_id(path).is_ok_and(|found| found == *id)
}

const MOVED: Reason =
    Reason::persisting("its file was moved, deleted or replaced: put it back, and start the service again");

/// The error of calls that would read or write other files than those at the paths.
pub(super) fn moved() -> StoreError {
    MOVED.into()
}

/// Whether the reason ends as soon as an operator puts the files back.
pub(super) fn is_moved(why: &Reason) -> bool {
    *why == MOVED
}

fn file_id(path: &Path) -> io::Result<FileId> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// The path of a file that SQLite keeps next to the store file, or next to the file that `path` links to.
pub(super) fn sidecar(path: &Path, suffix: &str) -> PathBuf {
    let mut name = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
    name.push(suffix);
    PathBuf::from(name)
}
