//! One bucket, in memory, for all instances and for both drafts.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What the one bucket is called, here as in Spin and in wasmCloud.
pub(crate) const NAME: &str = "default";
/// How long what an atomic call has seen is on its way to the component, as over a network: others change it meanwhile.
pub(crate) const WAY_BACK: Duration = Duration::from_millis(1);

/// The bucket: each call on it takes place at once, and whole.
#[derive(Clone, Default)]
pub(crate) struct Bucket(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Bucket {
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.entries().get(key).cloned()
    }

    pub(crate) fn set(&self, key: String, value: Vec<u8>) {
        self.entries().insert(key, value);
    }

    pub(crate) fn delete(&self, key: &str) {
        self.entries().remove(key);
    }

    /// The first keys after this one, or of all.
    pub(crate) fn keys_after(&self, cursor: Option<&str>, limit: usize) -> Vec<String> {
        let from = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        self.entries()
            .range::<str, _>((from, Bound::Unbounded))
            .take(limit)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Adds to a number, in decimal digits; a key that is not there counts as 0. None if it is no number, or too large.
    pub(crate) fn increment(&self, key: String, delta: u64) -> Option<u64> {
        let mut entries = self.entries();
        let number = match entries.get(&key) {
            None => 0,
            Some(digits) => str::from_utf8(digits).ok()?.parse::<u64>().ok()?,
        };
        let number = number.checked_add(delta)?;
        entries.insert(key, number.to_string().into_bytes());
        Some(number)
    }

    /// Stores the value if what is there is still this; says whether it did.
    pub(crate) fn swap(&self, key: &str, seen: Option<&[u8]>, value: Vec<u8>) -> bool {
        let mut entries = self.entries();
        let unchanged = entries.get(key).map(Vec::as_slice) == seen;
        if unchanged {
            entries.insert(key.to_owned(), value);
        }
        unchanged
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
