//! The store as the rules see it: the three calls of `orders:state/store`, and what they take and give.
//!
//! Bounds, order and atomicity are those of that interface (`wit/state/store.wit`).

#[cfg(not(target_arch = "wasm32"))]
pub mod memory;

/// Ordered keys, opaque values, atomic conditional commits.
pub trait Store {
    /// For each key, in the order given, what is stored under it. One consistent snapshot.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&self, keys: Vec<String>) -> Result<Vec<Option<Stored>>, StoreError>;

    /// The first `limit` entries of a range, in the given direction. One consistent snapshot.
    ///
    /// # Errors
    /// [`StoreError`].
    fn scan(&self, range: &KeyRange, limit: u32, direction: Direction) -> Result<Vec<Entry>, StoreError>;

    /// If every check holds, makes every write: all or nothing, durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`]; it is then not known whether the writes took place.
    fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<Outcome, StoreError>;
}

/// The number of a commit. Rises with every commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// What is stored under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The value, at most 1 MiB.
    pub value: Vec<u8>,
    /// The commit that wrote it.
    pub revision: Revision,
}

/// A key together with what is stored under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, 1…512 bytes.
    pub key: String,
    /// What is under it.
    pub stored: Stored,
}

/// The keys from `start` (inclusive) to `end` (exclusive), ordered bytewise. May be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key in it.
    pub start: String,
    /// The first key beyond it.
    pub end: String,
}

/// The order in which a scan goes through keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// What must hold for a commit to take place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Nothing is stored under this key.
    Absent(String),
    /// What is stored under this key was written by this commit.
    AtRevision(String, Revision),
}

/// One change that a commit makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Stores a value under a key, in place of what was there.
    Put(String, Vec<u8>),
    /// Removes a key, if it is there.
    Delete(String),
}

/// How a commit ended. A lost race is an outcome, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every write is durable.
    Committed,
    /// Nothing was written: the check with this index was the first that did not hold.
    Conflict(usize),
}

/// Why the store gave no answer: for the log, not for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError(pub String);
