//! Errors of the repository.

use std::fmt::Display;

use crate::store::StoreError;

/// Why an operation of the repository failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RepoError {
    /// The store failed. A write may or may not have been applied. The text is for the log.
    Unavailable(String),
    /// A record would be larger than the store accepts, or a call would return more. The text is for the log.
    TooLarge(String),
    /// A record cannot be decoded or encoded.
    Corrupt {
        /// The key of the record.
        key: String,
        /// The error in the record, for the log.
        cause: String,
    },
}

impl RepoError {
    /// A record that cannot be decoded or encoded.
    pub(super) fn corrupt(key: &str, cause: &dyn Display) -> Self {
        Self::Corrupt { key: key.to_owned(), cause: cause.to_string() }
    }
}

impl From<StoreError> for RepoError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => Self::Unavailable(cause),
            StoreError::TooLarge(cause) => Self::TooLarge(cause),
        }
    }
}
