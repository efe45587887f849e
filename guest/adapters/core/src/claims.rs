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
//! - A counter may be read and then written. Then a late increment of 0 makes a claim free that was taken. So the winner also marks
//!   the name as won, and reads the claim once more; whoever finds a claim of 0 looks for the mark, and gives the claim back. That
//!   notices one late increment. Several at once, or a writer that is killed before it gives a claim back, are not noticed: such a
//!   bucket cannot be used.
//!
//! A writer that is killed leaves a claim at 0, which the next writer takes, or a blob that no claim names, which is deleted after
//! the next checkpoint. Neither stops anybody.

use crate::{
    bucket::{PREFIX, Swap, WON, not_exact},
    storage::Storage,
};

/// What follows the prefix in the keys of blobs.
const BLOBS: &str = "blob.";

/// How often a claim is read and swapped if nothing changes. No writer holds up another one: it is for buckets that fail now and then.
const MAX_ATTEMPTS: usize = 5;

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
    Taken(Winner),
    /// A blob in the claim's place: nobody else uses the name, or a former version of the adapter has stored it.
    Inline(Vec<u8>),
}

/// The id of the blob that has a name, also in the form in which this bucket stores it.
struct Winner {
    id: u64,
    value: Vec<u8>,
}

impl<B: Swap> Claims<B> {
    /// A storage in this bucket.
    pub const fn new(bucket: B) -> Self {
        Self { bucket }
    }

    fn claim(&self, name: &str) -> Result<Claim, String> {
        let Some(value) = self.bucket.get(&claim_key(name))? else { return Ok(Claim::Absent) };
        Ok(match decode(&value) {
            Some(0) => match self.mark(name)? {
                // A late increment has reset the claim.
                Some(winner) => {
                    self.bucket.set(&claim_key(name), &winner.value)?;
                    Claim::Taken(winner)
                }
                None => Claim::Free(value),
            },
            Some(id) => Claim::Taken(Winner { id, value }),
            None => Claim::Inline(value),
        })
    }

    /// Who has marked the name as won.
    fn mark(&self, name: &str) -> Result<Option<Winner>, String> {
        let value = self.bucket.get(&won_key(name))?;
        Ok(value.and_then(|value| Some(Winner { id: decode(&value)?, value })))
    }

    /// Whether the writer whose id the claim has is the only one that has had the name.
    fn confirm(&self, name: &str, mine: &Winner) -> Result<bool, String> {
        match self.mark(name)? {
            Some(winner) if winner.id == mine.id => {}
            Some(winner) => {
                // The claim was reset and taken again.
                self.bucket.set(&claim_key(name), &winner.value)?;
                return Ok(false);
            }
            None => self.bucket.set(&won_key(name), &mine.value)?,
        }
        match self.bucket.get(&claim_key(name))? {
            Some(value) if value == mine.value => Ok(true),
            Some(_) => Err(not_exact(name)),
            None => Err(deleted(name)),
        }
    }

    /// Deletes a blob that has not got its name. Left behind, it only takes room until the next checkpoint.
    fn discard(&self, name: &str, id: u64) {
        _ = self.bucket.delete(&blob_key(name, id));
    }
}

impl<B: Swap> Storage for Claims<B> {
    /// Also lists names that are claimed and have no blob yet.
    fn list(&self) -> Result<Vec<String>, String> {
        let names = self.bucket.keys()?.into_iter().filter_map(|key| {
            let name = key.strip_prefix(PREFIX)?;
            (!name.starts_with(BLOBS) && !name.starts_with(WON)).then(|| name.to_owned())
        });
        Ok(names.collect())
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        match self.claim(name)? {
            Claim::Absent | Claim::Free(_) => Ok(None),
            // Without the blob, the name is just being deleted.
            Claim::Taken(winner) => self.bucket.get(&blob_key(name, winner.id)),
            Claim::Inline(blob) => Ok(Some(blob)),
        }
    }

    fn create(&self, name: &str, blob: &[u8]) -> Result<bool, String> {
        // Positive in the 64 bits of a signed counter, and of 19 digits: no number of eight digits is taken for eight bytes.
        let id = self.bucket.random() >> 1 | 1 << 60;
        let (mut stored, mut failure) = (false, None);
        // The last swap may have taken place, so that the claim is read once more after it.
        for attempt in 0..=MAX_ATTEMPTS {
            match self.claim(name)? {
                Claim::Absent if stored => {
                    return Err(deleted(name));
                }
                Claim::Absent => self.bucket.begin_counter(&claim_key(name))?,
                Claim::Taken(winner) if winner.id == id => return self.confirm(name, &winner),
                Claim::Taken(_) | Claim::Inline(_) => {
                    if stored {
                        self.discard(name, id);
                    }
                    return Ok(false);
                }
                Claim::Free(_) if attempt == MAX_ATTEMPTS => {}
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
        Err(failure.unwrap_or_else(|| format!("{name} stays free: the bucket does not swap values")))
    }

    fn put(&self, name: &str, blob: &[u8]) -> Result<(), String> {
        self.bucket.set(&claim_key(name), blob)
    }

    fn delete(&self, name: &str) -> Result<(), String> {
        if let Claim::Taken(winner) = self.claim(name)? {
            self.bucket.delete(&blob_key(name, winner.id))?;
        }
        self.bucket.delete(&won_key(name))?;
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
            let Some(rest) = key.strip_prefix(PREFIX) else { continue };
            if let Some(name) = rest.strip_prefix(WON) {
                if matches!(self.claim(name), Ok(Claim::Absent)) {
                    _ = self.bucket.delete(&key);
                }
                continue;
            }
            let name_and_id = rest.strip_prefix(BLOBS).and_then(|rest| rest.rsplit_once('.'));
            let Some((name, Ok(id))) = name_and_id.map(|(name, id)| (name, id.parse::<u64>())) else {
                continue;
            };
            let lost = match self.claim(name) {
                Ok(Claim::Absent | Claim::Inline(_)) => true,
                Ok(Claim::Taken(winner)) => winner.id != id,
                Ok(Claim::Free(_)) | Err(_) => false,
            };
            if lost {
                self.discard(name, id);
            }
        }
    }
}

fn deleted(name: &str) -> String {
    format!("{name} was deleted while it was being created")
}

fn claim_key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn won_key(name: &str) -> String {
    format!("{PREFIX}{WON}{name}")
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
