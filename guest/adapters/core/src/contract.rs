//! The types and limits of `orders:state/store`. `wit/state/store.wit` defines what they mean.

/// Maximum length of a key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 512;
/// Maximum length of a value, in bytes.
pub const MAX_VALUE_BYTES: usize = 1 << 20;
/// Maximum number of keys in one `get`.
pub const MAX_GET_KEYS: usize = 256;
/// Maximum number of checks and writes, counted together, in one commit.
pub const MAX_COMMIT_ITEMS: usize = 256;
/// Maximum number of entries that one scan returns.
pub const MAX_SCAN_LIMIT: u32 = 1000;
/// Maximum bytes of keys and values that one call carries, in either direction.
pub const MAX_TRANSFER_BYTES: usize = 8 << 20;

/// The three calls of the interface.
pub trait Store {
    /// Returns one result per key, in the order given: the stored value, or none.
    ///
    /// # Errors
    /// [`Error`], as the interface defines.
    fn get(&mut self, keys: &[String]) -> Result<Vec<Option<Stored>>, Error>;

    /// Returns the first entries of a range.
    ///
    /// # Errors
    /// [`Error`], as the interface defines.
    fn scan(&mut self, scan: &Scan) -> Result<Vec<Entry>, Error>;

    /// Applies all writes if all checks hold.
    ///
    /// # Errors
    /// [`Error`], as the interface defines. After [`Error::Unavailable`] the writes may or may not have taken place.
    fn commit(&mut self, checks: &[Check], writes: Vec<Write>) -> Result<Outcome, Error>;
}

/// A stored value and its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The value.
    pub value: Vec<u8>,
    /// The commit that wrote it.
    pub revision: u64,
}

/// A key with its value and revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its value and revision.
    pub stored: Stored,
}

/// The direction of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// A range of keys, `start` ≤ key < `end`, and the part of it to return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The start of the range, inclusive.
    pub start: String,
    /// The end of the range, exclusive.
    pub end: String,
    /// Maximum number of entries, 1…[`MAX_SCAN_LIMIT`].
    pub limit: u32,
    /// The end of the range to start from.
    pub order: Order,
}

/// A precondition of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// The key does not exist.
    Absent(String),
    /// The key exists, and its value has this revision.
    AtRevision(String, u64),
}

impl Check {
    /// The key that it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        let (Self::Absent(key) | Self::AtRevision(key, _)) = self;
        key
    }

    /// Whether it holds for what is stored under its key.
    #[must_use]
    pub fn holds(&self, found: Option<&Stored>) -> bool {
        match self {
            Self::Absent(_) => found.is_none(),
            Self::AtRevision(_, revision) => found.is_some_and(|stored| stored.revision == *revision),
        }
    }
}

/// One change that a commit makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Stores the value under the key.
    Put(String, Vec<u8>),
    /// Deletes the key if it exists.
    Delete(String),
}

/// The outcome of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every write is durable, at this revision.
    Committed(u64),
    /// Nothing was written: the check with this index was the first that failed.
    Conflict(u32),
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The storage failed, or its content is unusable.
    Unavailable(String),
    /// A value, a count, or the call as a whole is outside the limits. The text names the limit.
    TooLarge(String),
    /// A key is empty or too long.
    InvalidKey(String),
}

/// Checks the arguments of a `get` against the limits.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::InvalidKey`].
pub fn check_get(keys: &[String]) -> Result<(), Error> {
    if keys.len() > MAX_GET_KEYS {
        let count = keys.len();
        return Err(Error::TooLarge(format!("the call requests {count} keys; the limit is {MAX_GET_KEYS}")));
    }
    keys.iter().try_for_each(|key| check_key(key))
}

/// Checks the arguments of a `scan` against the limits.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::InvalidKey`].
pub fn check_scan(scan: &Scan) -> Result<(), Error> {
    check_key(&scan.start)?;
    check_key(&scan.end)?;
    let limit = scan.limit;
    if !(1..=MAX_SCAN_LIMIT).contains(&limit) {
        return Err(Error::TooLarge(format!("the scan limit is {limit}; it must be 1…{MAX_SCAN_LIMIT}")));
    }
    Ok(())
}

/// Checks the arguments of a `commit` against the limits.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::InvalidKey`].
pub fn check_commit(checks: &[Check], writes: &[Write]) -> Result<(), Error> {
    let items = checks.len().saturating_add(writes.len());
    if items > MAX_COMMIT_ITEMS {
        return Err(Error::TooLarge(format!(
            "the commit has {items} checks and writes; the limit is {MAX_COMMIT_ITEMS}"
        )));
    }
    let mut bytes = 0;
    for check in checks {
        check_key(check.key())?;
        bytes += check.key().len();
    }
    for write in writes {
        let (Write::Put(key, _) | Write::Delete(key)) = write;
        check_key(key)?;
        bytes += key.len();
        if let Write::Put(_, value) = write {
            check_value(value)?;
            bytes += value.len();
        }
    }
    check_transfer(bytes)
}

/// The revision of the commit after this one.
///
/// # Errors
/// [`Error::Unavailable`] if the revisions are exhausted.
pub fn next_revision(revision: u64) -> Result<u64, Error> {
    revision.checked_add(1).ok_or_else(|| Error::Unavailable("the revisions are exhausted".into()))
}

/// Rejects a call that carries more than [`MAX_TRANSFER_BYTES`].
///
/// # Errors
/// [`Error::TooLarge`].
pub fn check_transfer(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_TRANSFER_BYTES {
        return Err(Error::TooLarge(format!(
            "the call carries more than {MAX_TRANSFER_BYTES} bytes of keys and values: request less per call"
        )));
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), Error> {
    match key.len() {
        0 => Err(Error::InvalidKey("the key is empty".into())),
        1..=MAX_KEY_BYTES => Ok(()),
        n => Err(Error::InvalidKey(format!("the key has {n} bytes; the limit is {MAX_KEY_BYTES}"))),
    }
}

fn check_value(value: &[u8]) -> Result<(), Error> {
    if value.len() > MAX_VALUE_BYTES {
        let n = value.len();
        return Err(Error::TooLarge(format!("the value has {n} bytes; the limit is {MAX_VALUE_BYTES}")));
    }
    Ok(())
}
