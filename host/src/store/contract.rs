//! The types of the store contract: keys, values, scans and commits, with their limits.

use std::{fmt, time::Duration};

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
/// Maximum number of bytes of keys and values that one call transfers, in either direction.
pub const MAX_TRANSFER_BYTES: usize = 8 << 20;

/// The key of an entry: 1…[`MAX_KEY_BYTES`] bytes of UTF-8, ordered bytewise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(super) String);

impl Key {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as owned text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for Key {
    type Error = StoreError;

    fn try_from(key: String) -> Result<Self, StoreError> {
        match key.len() {
            0 => Err(StoreError::InvalidKey("the key is empty".into())),
            1..=MAX_KEY_BYTES => Ok(Self(key)),
            n => Err(StoreError::InvalidKey(format!(
                "the key is {n} bytes long; the limit is {MAX_KEY_BYTES}"
            ))),
        }
    }
}

/// The value of an entry: at most [`MAX_VALUE_BYTES`] bytes, which only the component interprets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(pub(super) Vec<u8>);

impl Value {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl TryFrom<Vec<u8>> for Value {
    type Error = StoreError;

    fn try_from(value: Vec<u8>) -> Result<Self, StoreError> {
        match value.len() {
            0..=MAX_VALUE_BYTES => Ok(Self(value)),
            n => Err(StoreError::TooLarge(format!(
                "the value is {n} bytes long; the limit is {MAX_VALUE_BYTES}"
            ))),
        }
    }
}

/// The number of a commit. Revisions increase with every commit, across all keys; the first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A stored value and the commit that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The value.
    pub value: Value,
    /// The commit that wrote it.
    pub revision: Revision,
}

/// A key and what is stored under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value and its revision.
    pub stored: Stored,
}

/// The direction of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// A range of keys, `start` ≤ key < `end`, with the direction and the maximum number of entries to return.
#[derive(Clone, Debug)]
pub struct Scan {
    pub(super) start: Key,
    pub(super) end: Key,
    pub(super) limit: u32,
    pub(super) order: Order,
}

impl Scan {
    /// A scan of at most `limit` entries, 1…[`MAX_SCAN_LIMIT`].
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] for any other limit.
    pub fn new(start: Key, end: Key, limit: u32, order: Order) -> Result<Self, StoreError> {
        if !(1..=MAX_SCAN_LIMIT).contains(&limit) {
            return Err(StoreError::TooLarge(format!("the limit is {limit}; it must be 1…{MAX_SCAN_LIMIT}")));
        }
        Ok(Self { start, end, limit, order })
    }
}

/// A condition of a commit.
#[derive(Clone, Debug)]
pub enum Check {
    /// Nothing is stored under the key.
    Absent(Key),
    /// The value stored under the key was written by this commit.
    AtRevision(Key, Revision),
}

impl Check {
    pub(super) fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::AtRevision(key, _) => key,
        }
    }

    /// Whether the check holds when `found` is the revision stored under its key.
    pub(super) fn holds(&self, found: Option<Revision>) -> bool {
        match self {
            Self::Absent(_) => found.is_none(),
            Self::AtRevision(_, revision) => found == Some(*revision),
        }
    }
}

/// One change made by a commit.
#[derive(Clone, Debug)]
pub enum Write {
    /// Stores the value and replaces any earlier one.
    Put(Key, Value),
    /// Removes the key. An absent key is not an error.
    Delete(Key),
}

/// Checks, and the writes that depend on them: all or nothing.
#[derive(Clone, Debug)]
pub struct Commit {
    pub(super) checks: Vec<Check>,
    pub(super) writes: Vec<Write>,
    pub(super) bytes: usize,
}

impl Commit {
    /// A commit of at most [`MAX_COMMIT_ITEMS`] checks and writes, and at most [`MAX_TRANSFER_BYTES`] of keys and
    /// values.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] above either limit.
    pub fn new(checks: Vec<Check>, writes: Vec<Write>) -> Result<Self, StoreError> {
        check_item_count(checks.len().saturating_add(writes.len()))?;
        let checked: usize = checks.iter().map(|check| check.key().0.len()).sum();
        let written: usize = writes
            .iter()
            .map(|write| match write {
                Write::Put(key, value) => key.0.len() + value.0.len(),
                Write::Delete(key) => key.0.len(),
            })
            .sum();
        let bytes = checked + written;
        check_transfer(bytes)?;
        Ok(Self { checks, writes, bytes })
    }
}

/// The outcome of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All writes are durable, at this revision.
    Committed(Revision),
    /// Nothing was written: the check with this index was the first that failed.
    Conflict(usize),
}

/// Why a store is unavailable. Its `Display` form, on one line, is for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    public: &'static str,
    detail: Option<String>,
    persists: bool,
}

impl Reason {
    /// A reason that anybody may read.
    pub const fn new(public: &'static str) -> Self {
        Self { public, detail: None, persists: false }
    }

    /// A reason that does not pass by itself: an operator has to act.
    pub const fn persisting(public: &'static str) -> Self {
        Self { public, detail: None, persists: true }
    }

    /// The same reason, as one that does not pass by itself.
    #[must_use]
    pub fn into_persisting(self) -> Self {
        Self { persists: true, ..self }
    }

    /// Whether an operator has to act. Otherwise the same call may succeed a moment later.
    pub const fn persists(&self) -> bool {
        self.persists
    }

    /// Adds what only the log gets: it may name a database, a role, a file or an address.
    #[must_use]
    pub fn with_detail(self, detail: impl fmt::Display) -> Self {
        Self { detail: Some(detail.to_string().replace(char::is_control, " ")), ..self }
    }

    /// The part that anybody may read. It is fixed, so it names nothing that an operator or a server has chosen.
    pub fn public(&self) -> &'static str {
        self.public
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.public)?;
        self.detail.iter().try_for_each(|detail| write!(f, ": {detail}"))
    }
}

/// Why a call failed. The `Display` form is for the log; `public` is for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The store failed or is closed.
    Unavailable(Reason),
    /// An argument or result exceeds a limit of this module. Says which limit.
    TooLarge(String),
    /// A key is empty or too long. Says which.
    InvalidKey(String),
}

impl StoreError {
    /// The store is unavailable, for a reason that anybody may read.
    pub const fn unavailable(public: &'static str) -> Self {
        Self::Unavailable(Reason::new(public))
    }

    /// Whether the store failed in a way that does not pass by itself: an operator has to act.
    pub const fn persists(&self) -> bool {
        matches!(self, Self::Unavailable(why) if why.persists())
    }

    /// The error without what only the log gets.
    pub fn public(&self) -> String {
        match self {
            Self::Unavailable(why) => format!("{}: {}", state(why), why.public()),
            Self::TooLarge(what) | Self::InvalidKey(what) => what.clone(),
        }
    }

    pub(super) const fn closed() -> Self {
        Self::unavailable("the store is closed")
    }

    pub(super) const fn out_of_revisions() -> Self {
        Self::Unavailable(Reason::persisting("the revision counter is exhausted"))
    }

    /// The store did not do something within the limit.
    pub(super) fn timed_out(public: &'static str, limit: Duration) -> Self {
        Self::Unavailable(Reason::new(public).with_detail(format_args!("the limit is {limit:?}")))
    }
}

impl From<Reason> for StoreError {
    fn from(why: Reason) -> Self {
        Self::Unavailable(why)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "{}: {why}", state(why)),
            Self::TooLarge(what) | Self::InvalidKey(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StoreError {}

const fn state(why: &Reason) -> &'static str {
    if why.persists() { "the store has failed" } else { "the store is unavailable" }
}

/// Rejects a call that would transfer more than [`MAX_TRANSFER_BYTES`].
pub(super) fn check_transfer(bytes: usize) -> Result<(), StoreError> {
    if bytes > MAX_TRANSFER_BYTES {
        return Err(StoreError::TooLarge(format!(
            "the call transfers more than {MAX_TRANSFER_BYTES} bytes of keys and values; request less at once"
        )));
    }
    Ok(())
}

/// Rejects a `get` of more than [`MAX_GET_KEYS`] keys.
///
/// # Errors
///
/// [`StoreError::TooLarge`].
pub fn check_key_count(keys: usize) -> Result<(), StoreError> {
    if keys > MAX_GET_KEYS {
        let what = format!("{keys} keys are requested; the limit is {MAX_GET_KEYS}");
        return Err(StoreError::TooLarge(what));
    }
    Ok(())
}

/// Rejects a commit of more than [`MAX_COMMIT_ITEMS`] checks and writes together.
///
/// # Errors
///
/// [`StoreError::TooLarge`].
pub fn check_item_count(items: usize) -> Result<(), StoreError> {
    if items > MAX_COMMIT_ITEMS {
        let what = format!("the commit has {items} checks and writes; the limit is {MAX_COMMIT_ITEMS}");
        return Err(StoreError::TooLarge(what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Reason, StoreError};

    #[test]
    fn only_the_log_gets_the_detail() {
        let why = Reason::new("the server rejected the user").with_detail("role \"ada\"\nof db.example");
        let error = StoreError::from(why);
        assert_eq!(error.public(), "the store is unavailable: the server rejected the user");
        let logged = "the store is unavailable: the server rejected the user: role \"ada\" of db.example";
        assert_eq!(error.to_string(), logged);
        assert_eq!(StoreError::closed().public(), StoreError::closed().to_string());
    }
}
