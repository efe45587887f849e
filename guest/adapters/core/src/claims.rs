//! [`Storage`] in a bucket of keys that has a counter and a compare-and-swap, such as `wasi:keyvalue` in Spin.
//!
//! A name is claimed before its blob exists: the key of the claim is a counter, 0 while the name is free, then the id of the blob
//! that has the name. The blob is under a key of its own, which contains that id, and is complete before the claim says so.
//!
//! Real buckets promise less than the draft says, and each step allows for that:
//!
//! - A swap from "absent" may replace what another writer has just stored. So a claim is brought into being as 0 by an increment of
//!   0, which changes nothing if it exists, and only a swap from a value that is there is relied upon.
//! - A swap may report a failure although it took place, or the contrary. So its result is ignored: the claim is read afterwards.
//!   It changes only once, from 0 to an id, and ids are unique.
//! - Counters are stored in different forms. An id is stored in the form in which 0 was found.
//!
//! A writer that is killed leaves a claim at 0, which the next writer takes, or a blob that no claim names, which is deleted after
//! the next checkpoint. Neither stops anybody.

use crate::storage::Storage;

/// The prefix of all keys, because other applications may use the bucket, too.
const PREFIX: &str = "orders-state.";
/// What follows it in the keys of blobs.
const BLOBS: &str = "blob.";

/// How often a claim is read and swapped if nothing changes. No writer holds up another one: it is for buckets that fail now and then.
const MAX_ATTEMPTS: usize = 5;

/// What this storage needs of a bucket. A read sees the effect of every call, by any writer, that ended before it began. Errors are
/// one line; after an error, a change may have taken place or not.
pub trait Bucket {
    /// The value of a key.
    ///
    /// # Errors
    /// The error of the bucket.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String>;

    /// Stores a value.
    ///
    /// # Errors
    /// The error of the bucket.
    fn set(&self, key: &str, value: &[u8]) -> Result<(), String>;

    /// Deletes a key if it exists.
    ///
    /// # Errors
    /// The error of the bucket.
    fn delete(&self, key: &str) -> Result<(), String>;

    /// All keys, in any order. A key that exists throughout the call is listed.
    ///
    /// # Errors
    /// The error of the bucket.
    fn keys(&self) -> Result<Vec<String>, String>;

    /// Makes a counter of 0 out of a key that does not exist. One that exists stays as it is.
    ///
    /// # Errors
    /// The error of the bucket.
    fn begin_counter(&self, key: &str) -> Result<(), String>;

    /// Replaces the value of a key if it is still `from`. The result does not say whether that took place.
    ///
    /// # Errors
    /// The error of the bucket.
    fn swap(&self, key: &str, from: &[u8], to: &[u8]) -> Result<(), String>;

    /// A random number.
    fn random(&self) -> u64;

    /// Waits briefly; longer with each failed attempt.
    fn back_off(&self, attempt: u32);
}

/// Blobs in a bucket.
#[derive(Debug)]
pub struct Claims<B> {
    bucket: B,
}

/// The state of a name.
enum Claim {
    Absent,
    /// Contains 0 in the form in which this bucket stores it.
    Free(Vec<u8>),
    Taken(u64),
    /// Former versions of the adapter stored the blob in the claim's place.
    Inline(Vec<u8>),
}

impl<B: Bucket> Claims<B> {
    /// A storage in this bucket.
    pub const fn new(bucket: B) -> Self {
        Self { bucket }
    }

    fn claim(&self, name: &str) -> Result<Claim, String> {
        let Some(value) = self.bucket.get(&claim_key(name))? else { return Ok(Claim::Absent) };
        Ok(match decode(&value) {
            Some(0) => Claim::Free(value),
            Some(id) => Claim::Taken(id),
            None => Claim::Inline(value),
        })
    }

    /// Deletes a blob that has not got its name. Left behind, it only takes room until the next checkpoint.
    fn discard(&self, name: &str, id: u64) {
        _ = self.bucket.delete(&blob_key(name, id));
    }
}

impl<B: Bucket> Storage for Claims<B> {
    /// Also lists names that are claimed and have no blob yet.
    fn list(&self) -> Result<Vec<String>, String> {
        let names = self.bucket.keys()?.into_iter().filter_map(|key| {
            let name = key.strip_prefix(PREFIX)?;
            (!name.starts_with(BLOBS)).then(|| name.to_owned())
        });
        Ok(names.collect())
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        match self.claim(name)? {
            Claim::Absent | Claim::Free(_) => Ok(None),
            // Without the blob, the name is just being deleted.
            Claim::Taken(id) => self.bucket.get(&blob_key(name, id)),
            Claim::Inline(blob) => Ok(Some(blob)),
        }
    }

    fn create(&self, name: &str, blob: &[u8]) -> Result<bool, String> {
        // Positive in the 64 bits of a signed counter, and of 19 digits: no number of eight digits is taken for eight bytes.
        let id = self.bucket.random() >> 1 | 1 << 60;
        let (mut stored, mut failure) = (false, None);
        for attempt in 0..MAX_ATTEMPTS {
            match self.claim(name)? {
                Claim::Absent if stored => {
                    return Err(format!("{name} was deleted while it was being created"));
                }
                Claim::Absent => self.bucket.begin_counter(&claim_key(name))?,
                Claim::Taken(winner) if winner == id => return Ok(true),
                Claim::Taken(_) | Claim::Inline(_) => {
                    if stored {
                        self.discard(name, id);
                    }
                    return Ok(false);
                }
                Claim::Free(zero) => {
                    if !stored {
                        self.bucket.set(&blob_key(name, id), blob)?;
                        stored = true;
                    }
                    failure = self.bucket.swap(&claim_key(name), &zero, &encode_like(&zero, id)).err();
                }
            }
            if failure.is_some() {
                self.bucket.back_off(u32::try_from(attempt).unwrap_or(u32::MAX));
            }
        }
        // The last swap may have taken place.
        match self.claim(name)? {
            Claim::Taken(winner) if winner == id => Ok(true),
            Claim::Taken(_) => Ok(false),
            _ => {
                Err(failure.unwrap_or_else(|| format!("{name} stays free: the bucket does not swap values")))
            }
        }
    }

    fn delete(&self, name: &str) -> Result<(), String> {
        if let Claim::Taken(id) = self.claim(name)? {
            self.bucket.delete(&blob_key(name, id))?;
        }
        self.bucket.delete(&claim_key(name))
    }

    fn random(&self) -> u64 {
        self.bucket.random()
    }

    fn back_off(&self, attempt: u32) {
        self.bucket.back_off(attempt);
    }

    /// Deletes the blobs of writers that have lost their name to another one, or that have been killed. A writer that is about to
    /// swap has a claim at 0.
    fn clean_up(&self) {
        for key in self.bucket.keys().unwrap_or_default() {
            let name_and_id = key.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(BLOBS));
            let Some((name, id)) = name_and_id.and_then(|rest| rest.rsplit_once('.')) else { continue };
            let Ok(id) = id.parse::<u64>() else { continue };
            let lost = match self.claim(name) {
                Ok(Claim::Absent | Claim::Inline(_)) => true,
                Ok(Claim::Taken(winner)) => winner != id,
                Ok(Claim::Free(_)) | Err(_) => false,
            };
            if lost {
                self.discard(name, id);
            }
        }
    }
}

fn claim_key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn blob_key(name: &str, id: u64) -> String {
    format!("{PREFIX}{BLOBS}{name}.{id}")
}

/// The number in a counter: eight bytes, the lowest first, as in SQLite's of Spin, or decimal digits, as in Redis. No blob of the
/// log has either form.
fn decode(value: &[u8]) -> Option<u64> {
    if let Ok(bytes) = value.try_into() {
        return Some(u64::from_le_bytes(bytes));
    }
    if value.len() > 20 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Writes a number in the form in which this 0 is.
fn encode_like(zero: &[u8], number: u64) -> Vec<u8> {
    match zero.len() {
        8 => number.to_le_bytes().to_vec(),
        _ => number.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode_like};

    #[test]
    fn counters_are_read_in_both_forms() {
        for number in [0, 1, 255, 1 << 62, u64::MAX >> 1] {
            for zero in [&[0; 8][..], b"0"] {
                assert_eq!(decode(&encode_like(zero, number)), Some(number));
            }
        }
        assert_eq!(
            decode(b"00000000"),
            Some(u64::from_le_bytes(*b"00000000")),
            "eight bytes are never digits"
        );
        for blob in [&b""[..], b"ost1r", b"-1", b"1.0", &[0; 21]] {
            assert_eq!(decode(blob), None, "{blob:?}");
        }
    }
}
