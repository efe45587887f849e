//! The file `history`, as bytes: what is in it is known to the layer that writes it.

use std::io::ErrorKind;

use super::{
    folder::Shelf,
    names::{HISTORY_FILE, HISTORY_POINTS, MAX_HISTORY_BYTES, file_error},
    ownership,
};
use crate::module::file;

impl Shelf {
    /// Replaces the history durably, completely or not at all. One that is the same is not written again.
    ///
    /// # Errors
    ///
    /// One line with the file's name: the history is larger than [`MAX_HISTORY_BYTES`], or the operating system's error. The
    /// history remains as it was, unless syncing the folder failed: then it is the old one or the new one.
    pub fn write_history(&self, history: &[u8]) -> Result<(), String> {
        let path = self.folder.join(HISTORY_FILE);
        let _lock = self.lock_changes().map_err(|error| file_error("module history", &path, &error))?;
        let is_stored = || ownership::read(&path, MAX_HISTORY_BYTES).is_ok_and(|stored| stored == history);
        let written = if u64::try_from(history.len()).is_ok_and(|size| size > MAX_HISTORY_BYTES) {
            Err(ownership::too_large(MAX_HISTORY_BYTES))
        } else if is_stored() {
            // A process that was killed may have renamed the file without syncing the folder.
            file::sync_folder(&self.folder)
        } else {
            self.write(&path, history, HISTORY_POINTS)
        };
        written.map_err(|error| file_error("module history", &path, &error))
    }

    /// Reads the history that was written last; `None` in a folder without one.
    ///
    /// # Errors
    ///
    /// One line with the file's name, if it cannot be read.
    pub fn read_history(&self) -> Result<Option<Vec<u8>>, String> {
        let path = self.folder.join(HISTORY_FILE);
        match ownership::read(&path, MAX_HISTORY_BYTES) {
            Ok(history) => Ok(Some(history)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error("module history", &path, &error)),
        }
    }
}
