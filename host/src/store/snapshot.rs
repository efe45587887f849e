//! All entries of a store at one point in time.

use async_trait::async_trait;

use super::contract::{Entry, MAX_SCAN_LIMIT, MAX_VALUE_BYTES, StoreError};

/// Maximum number of entries in a page: as many as a scan returns.
pub const MAX_PAGE_ENTRIES: u32 = MAX_SCAN_LIMIT;
/// A page ends with the entry that brings its keys and values to this many bytes: two of the largest values. That
/// keeps the memory for a page low, and still makes a page of small entries worth a round trip.
pub const PAGE_BYTES: usize = 2 * MAX_VALUE_BYTES;

/// The entries of a store at the time of the snapshot, in key order, page by page. The snapshot contains every
/// earlier commit and no later one, however long it is read.
///
/// A snapshot holds resources that the store needs. Drop it before closing the store, because `close` may wait for
/// it.
#[async_trait]
pub trait Snapshot: Send {
    /// The number of entries in the store, including those before the start of the snapshot, or `None` if the store
    /// cannot count them in a reasonable time. Call this before reading the first page.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn count(&mut self) -> Result<Option<u64>, StoreError>;

    /// The next page of at most [`MAX_PAGE_ENTRIES`] entries; empty at the end.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]; the snapshot is unusable afterwards.
    async fn next(&mut self) -> Result<Vec<Entry>, StoreError>;
}

/// Collects entries until a page is full.
#[derive(Default)]
pub(super) struct Page {
    entries: Vec<Entry>,
    bytes: usize,
}

impl Page {
    /// Adds an entry. Returns whether the page has room for another one.
    pub(super) fn add(&mut self, entry: Entry) -> bool {
        self.bytes += entry.key.as_str().len() + entry.stored.value.as_bytes().len();
        self.entries.push(entry);
        self.bytes < PAGE_BYTES
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}
