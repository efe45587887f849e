//! One in-memory bucket that all instances and both drafts share.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The name of the bucket, the same as on Spin and wasmCloud.
pub(crate) const BUCKET_NAME: &str = "default";
/// Delay between an atomic call and its result, as over a network. Other writers can change the bucket in between.
pub(crate) const RESULT_DELAY: Duration = Duration::from_millis(1);

/// The bucket. Each call on it is atomic.
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

    /// The first `limit` keys after the cursor, or of the whole bucket.
    pub(crate) fn keys_after(&self, cursor: Option<&str>, limit: usize) -> Vec<String> {
        let from = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        self.entries()
            .range::<str, _>((from, Bound::Unbounded))
            .take(limit)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Adds to a number that is stored in decimal digits; a key that does not exist counts as 0. Returns none if the value
    /// is not a number or the sum overflows.
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

    /// Stores the value if the current value is still `expected`. Returns whether it was stored.
    pub(crate) fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, value: Vec<u8>) -> bool {
        let mut entries = self.entries();
        let unchanged = entries.get(key).map(Vec::as_slice) == expected;
        if unchanged {
            entries.insert(key.to_owned(), value);
        }
        unchanged
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
