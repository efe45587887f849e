//! All entries of a store, as they are at one moment.

use async_trait::async_trait;

use super::contract::{Entry, MAX_SCAN_LIMIT, MAX_VALUE_BYTES, StoreError};

/// Most entries of a page: as many as a scan gives.
pub const MAX_PAGE_ENTRIES: u32 = MAX_SCAN_LIMIT;
/// A page ends with the entry that brings its keys and values to this many bytes: two of the largest values, so that a
/// page costs little memory, and of small entries enough that a page is worth its way.
pub const PAGE_BYTES: usize = 2 * MAX_VALUE_BYTES;

/// The entries of a store as they were when it was taken, in the order of their keys, page by page: every commit of before
/// is in it, and none of afterwards, however long it is read.
///
/// It holds something of the store's that others have to do without: let it go (drop it) before the store is closed, which
/// may wait for that.
#[async_trait]
pub trait Snapshot: Send {
    /// How many entries it has in all, those before its beginning included; none if the store cannot say so in a
    /// reasonable time. To be asked before the first page.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn count(&mut self) -> Result<Option<u64>, StoreError>;

    /// The next entries, at most [`MAX_PAGE_ENTRIES`]; none once there are no more.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]; the snapshot is of no more use then.
    async fn next(&mut self) -> Result<Vec<Entry>, StoreError>;
}

/// Gathers entries until they are a page.
#[derive(Default)]
pub(super) struct Page {
    entries: Vec<Entry>,
    bytes: usize,
}

impl Page {
    /// Adds an entry, and says whether there is room for another one.
    pub(super) fn add(&mut self, entry: Entry) -> bool {
        self.bytes += entry.key.as_str().len() + entry.stored.value.as_bytes().len();
        self.entries.push(entry);
        self.bytes < PAGE_BYTES
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}
