//! The three calls of `orders:state/store` and their types.
//!
//! Limits, ordering and atomicity are those of that interface (`wit/state/store.wit`).

/// Ordered keys, opaque values, atomic conditional commits.
pub trait Store {
    /// Reads the value of each key, in the order given, from one consistent snapshot.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&self, keys: Vec<String>) -> Result<Vec<Option<Stored>>, StoreError>;

    /// Reads the first `limit` entries of a range, in the given direction, from one consistent snapshot.
    ///
    /// # Errors
    /// [`StoreError`].
    fn scan(&self, range: &KeyRange, limit: u32, direction: Direction) -> Result<Vec<Entry>, StoreError>;

    /// Applies every write if every check holds: all or nothing, and durable when the call returns.
    ///
    /// # Errors
    /// [`StoreError`]; the writes may or may not have been applied.
    fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<Outcome, StoreError>;
}

/// The number of a commit. It increases with every commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// The value of a key, with its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The value, at most 1 MiB.
    pub value: Vec<u8>,
    /// The commit that wrote the value.
    pub revision: Revision,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, 1…512 bytes.
    pub key: String,
    /// The value, with its revision.
    pub stored: Stored,
}

/// The keys from `start` (inclusive) to `end` (exclusive), ordered bytewise. May be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The lower bound.
    pub start: String,
    /// The upper bound.
    pub end: String,
}

/// The order in which a scan returns keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// A condition of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// This key has no value.
    Absent(String),
    /// The value of this key was written by this commit.
    AtRevision(String, Revision),
}

/// One change that a commit makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets the value of a key, replacing any previous value.
    Put(String, Vec<u8>),
    /// Removes a key, if it exists.
    Delete(String),
}

/// The outcome of a commit. A conflict is an outcome, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every write is durable.
    Committed,
    /// Nothing was written. The index is that of the first check that failed.
    Conflict(usize),
}

/// Why a call failed. The texts are for the log, not for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The store failed.
    Unavailable(String),
    /// A value is larger than 1 MiB, or a call would transfer more than 8 MiB.
    TooLarge(String),
}
