//! [`Storage`] in a bucket of keys that has a counter and no compare-and-swap, such as the first draft of `wasi:keyvalue`.
//!
//! A writer claims a name by counting: the one that gets 1 owns the name, and then stores the blob. Between the two steps no other
//! writer can tell whether the blob will still appear: neither counters nor reads and writes can settle that among more than two
//! writers, of which some are killed. So until it does, the name is taken, and an operator who knows that the writer is gone deletes
//! what it has left.
//!
//! Some buckets do not count exactly: they read the counter and then write it, or store the first number without looking. Then
//! several writers get 1. Those pass a splitter (after Lamport), which lets at most one through: each stores its id as the owner's,
//! gives up if the name is marked as won, marks it, and is refused if the owner is not the same any more.

use crate::{
    bucket::{Count, PREFIX, WON, not_exact},
    storage::Storage,
};

/// What follows the prefix in the keys of the counters.
const TAKEN: &str = "taken.";
/// And in the keys of the ids of those that have got 1.
const OWNER: &str = "owner.";

/// The attempts for which a writer would back off that does not know whether it has got 1.
const PATIENCE: u32 = 100;

/// Blobs in a bucket.
#[derive(Debug)]
pub struct Tickets<B> {
    bucket: B,
}

impl<B: Count> Tickets<B> {
    /// A storage in this bucket.
    pub const fn new(bucket: B) -> Self {
        Self { bucket }
    }
}

impl<B: Count> Storage for Tickets<B> {
    fn list(&self) -> Result<Vec<String>, String> {
        let names = self.bucket.keys()?.into_iter().filter_map(|key| {
            let name = key.strip_prefix(PREFIX)?;
            let is_blob = ![TAKEN, OWNER, WON].iter().any(|other| name.starts_with(other));
            is_blob.then(|| name.to_owned())
        });
        Ok(names.collect())
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        self.bucket.get(&key("", name))
    }

    fn create(&self, name: &str, blob: &[u8]) -> Result<bool, String> {
        let taken = key(TAKEN, name);
        let number = match self.bucket.increment(&taken) {
            // It may have counted. If it has not, another writer may have got 1, which by then has marked the name.
            Err(_) => {
                let next = self.bucket.increment(&taken)?;
                self.bucket.back_off(PATIENCE);
                next.saturating_sub(1)
            }
            number => number?,
        };
        if number > 1 {
            return Ok(false);
        }
        let (owner, won) = (key(OWNER, name), key(WON, name));
        let id = self.bucket.random().to_le_bytes();
        self.bucket.set(&owner, &id)?;
        if self.bucket.get(&won)?.is_some() {
            return Ok(false);
        }
        self.bucket.set(&won, &id)?;
        if self.bucket.get(&owner)?.is_none_or(|owner| owner != id) {
            return Err(not_exact(name));
        }
        // A version without marks may have got it.
        if self.read(name)?.is_some() {
            return Ok(false);
        }
        self.bucket.set(&key("", name), blob)?;
        Ok(true)
    }

    fn put(&self, name: &str, blob: &[u8]) -> Result<(), String> {
        self.bucket.set(&key("", name), blob)
    }

    /// The counter is deleted last: the name stays taken until nothing else of it is left.
    fn delete(&self, name: &str) -> Result<(), String> {
        ["", WON, OWNER, TAKEN].iter().try_for_each(|what| self.bucket.delete(&key(what, name)))
    }

    fn random(&self) -> u64 {
        self.bucket.random()
    }

    fn back_off(&self, attempt: u32) {
        self.bucket.back_off(attempt);
    }
}

fn key(what: &str, name: &str) -> String {
    format!("{PREFIX}{what}{name}")
}
