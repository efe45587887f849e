//! Remembers that the file has failed: then nothing is committed until the next start.
//!
//! A read of a damaged file may still return what was acknowledged; a commit into it is perhaps never read again.

use std::{path::PathBuf, sync::OnceLock};

use super::identity::is_moved;
use crate::store::{
    complaints::Complaints,
    contract::{Reason, StoreError},
};

/// Whether the file has failed, shared by readers and the thread that commits.
pub(super) struct Condition {
    path: PathBuf,
    failed: OnceLock<Reason>,
    complaints: Complaints,
}

impl Condition {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, failed: OnceLock::new(), complaints: Complaints::default() }
    }

    /// Passes on the result of a call, after remembering a failure that does not pass by itself.
    pub(super) fn note<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Unavailable(why)) = &result
            && why.persists()
            // Files that were moved may come back.
            && !is_moved(why)
        {
            self.failed.get_or_init(|| why.clone());
            self.complaints.note(&self.path.display(), &result);
        }
        result
    }

    /// # Errors
    ///
    /// [`StoreError::Unavailable`] with the first failure that does not pass by itself.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.failed.get().map_or(Ok(()), |why| Err(why.clone().into()))
    }
}
