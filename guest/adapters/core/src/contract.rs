//! The types and the bounds of `orders:state/store`; `wit/state/store.wit` says what they mean.

/// Longest key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 512;
/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 1 << 20;
/// Most keys in one `get`.
pub const MAX_GET_KEYS: usize = 256;
/// Most checks and writes, counted together, in one commit.
pub const MAX_COMMIT_ITEMS: usize = 256;
/// Most entries that one scan returns.
pub const MAX_SCAN_LIMIT: u32 = 1000;
/// Most bytes of keys and values that one call carries, in either direction.
pub const MAX_TRANSFER_BYTES: usize = 8 << 20;

/// The three calls of the interface.
pub trait Store {
    /// For each key, in the order given, what is stored under it.
    ///
    /// # Errors
    /// [`Error`], as the interface says.
    fn get(&mut self, keys: &[String]) -> Result<Vec<Option<Stored>>, Error>;

    /// The first entries of a range.
    ///
    /// # Errors
    /// [`Error`], as the interface says.
    fn scan(&mut self, scan: &Scan) -> Result<Vec<Entry>, Error>;

    /// Makes all writes if all checks hold.
    ///
    /// # Errors
    /// [`Error`], as the interface says. After [`Error::Unavailable`] it is not known whether the writes took place.
    fn commit(&mut self, checks: &[Check], writes: Vec<Write>) -> Result<Outcome, Error>;
}

/// What is stored under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The value.
    pub value: Vec<u8>,
    /// The commit that wrote it.
    pub revision: u64,
}

/// A key with what is stored under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// What is under it.
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

/// A range of keys, `start` ≤ key < `end`, and how much of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The first key in it.
    pub start: String,
    /// The first key beyond it.
    pub end: String,
    /// Most entries, 1…[`MAX_SCAN_LIMIT`].
    pub limit: u32,
    /// From which end.
    pub order: Order,
}

/// What must hold for a commit to take place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Nothing is stored under this key.
    Absent(String),
    /// What is stored under this key was written by this commit.
    AtRevision(String, u64),
}

/// One change that a commit makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Stores the value under the key.
    Put(String, Vec<u8>),
    /// Removes the key, if it is there.
    Delete(String),
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every write is durable, at this revision.
    Committed(u64),
    /// Nothing was written: the check with this index was the first that did not hold.
    Conflict(u32),
}

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The storage failed, or something that it holds cannot be used.
    Unavailable(String),
    /// Something lies outside the bounds. The text names the bound.
    TooLarge(String),
    /// A key is empty or too long.
    InvalidKey(String),
}

/// Refuses what a `get` may not ask for.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::InvalidKey`].
pub fn check_get(keys: &[String]) -> Result<(), Error> {
    if keys.len() > MAX_GET_KEYS {
        let count = keys.len();
        return Err(Error::TooLarge(format!(
            "{count} keys are asked for, at most {MAX_GET_KEYS} are allowed"
        )));
    }
    keys.iter().try_for_each(|key| check_key(key))
}

/// Refuses what a `scan` may not ask for.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::InvalidKey`].
pub fn check_scan(scan: &Scan) -> Result<(), Error> {
    check_key(&scan.start)?;
    check_key(&scan.end)?;
    let limit = scan.limit;
    if !(1..=MAX_SCAN_LIMIT).contains(&limit) {
        return Err(Error::TooLarge(format!("the limit is {limit}, it must be 1…{MAX_SCAN_LIMIT}")));
    }
    Ok(())
}

/// Refuses what a `commit` may not carry.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::InvalidKey`].
pub fn check_commit(checks: &[Check], writes: &[Write]) -> Result<(), Error> {
    let items = checks.len().saturating_add(writes.len());
    if items > MAX_COMMIT_ITEMS {
        return Err(Error::TooLarge(format!(
            "the commit has {items} checks and writes, at most {MAX_COMMIT_ITEMS} are allowed"
        )));
    }
    let mut bytes = 0;
    for check in checks {
        let (Check::Absent(key) | Check::AtRevision(key, _)) = check;
        check_key(key)?;
        bytes += key.len();
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

/// Refuses a call that would carry more than [`MAX_TRANSFER_BYTES`].
///
/// # Errors
/// [`Error::TooLarge`].
pub fn check_transfer(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_TRANSFER_BYTES {
        return Err(Error::TooLarge(format!(
            "the call carries more than {MAX_TRANSFER_BYTES} bytes of keys and values: ask for less at once"
        )));
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), Error> {
    match key.len() {
        0 => Err(Error::InvalidKey("the key is empty".into())),
        1..=MAX_KEY_BYTES => Ok(()),
        n => Err(Error::InvalidKey(format!("the key has {n} bytes, at most {MAX_KEY_BYTES} are allowed"))),
    }
}

fn check_value(value: &[u8]) -> Result<(), Error> {
    if value.len() > MAX_VALUE_BYTES {
        let n = value.len();
        return Err(Error::TooLarge(format!(
            "the value has {n} bytes, at most {MAX_VALUE_BYTES} are allowed"
        )));
    }
    Ok(())
}
