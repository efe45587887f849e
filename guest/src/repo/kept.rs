//! Answers kept under idempotency keys: written with the order they are about, found by a repeated request, swept
//! once they have expired.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::order::{Event, Timestamp};
use crate::store::{Check, Direction, Entry, Outcome, Revision, Write};

use super::keys::{expired, expiry_key, kept_key, kept_key_of, order_key};
use super::records::corrupt;
use super::{OrderRecord, OrderRepo, RepoError, Written, new_order};

/// One create in so many sweeps.
const SWEEP_ONE_IN: u8 = 4;
/// Most expired answers that one create sweeps. Four times as many as have come since the last one, for of two creates
/// at the same time that sweep the same ones only one does.
const SWEEP: usize = 16;
/// So many of the oldest are looked at, and a part of them is picked by chance: creates at the same time mostly
/// pick different parts.
const WINDOW: u32 = 256;

/// Names a request by its method, its path and its idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestDigest(Digest);

impl RequestDigest {
    pub(crate) fn of(method: &str, path: &str, key: &str) -> Self {
        Self(Digest::of(&[method.as_bytes(), path.as_bytes(), key.as_bytes()]))
    }
}

impl std::fmt::Display for RequestDigest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The answer to a request that had an idempotency key.
///
/// Stored as one line of JSON (all but the body), a line feed, and the body as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptAnswer {
    /// The digest of the request's payload, to tell a repeated request from another one.
    pub(crate) fingerprint: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// From then on it stands for nothing.
    pub(crate) expires: Timestamp,
    #[serde(skip)]
    pub(crate) body: Vec<u8>,
}

impl KeptAnswer {
    fn to_record(&self, key: &str) -> Result<Vec<u8>, RepoError> {
        let mut record = serde_json::to_vec(self).map_err(|error| corrupt(key, &error))?;
        record.push(b'\n');
        record.extend_from_slice(&self.body);
        Ok(record)
    }

    fn from_record(key: &str, record: &[u8]) -> Result<Self, RepoError> {
        let line = record.iter().position(|byte| *byte == b'\n').unwrap_or(record.len());
        let (line, body) = record.split_at(line);
        let answer: Self = serde_json::from_slice(line).map_err(|error| corrupt(key, &error))?;
        Ok(Self { body: body.get(1..).unwrap_or_default().to_vec(), ..answer })
    }
}

/// What there is under an idempotency key.
#[derive(Debug)]
pub(crate) enum KeySlot {
    /// Nothing that counts.
    Free(FreeSlot),
    /// The answer to an earlier request.
    Kept(KeptAnswer),
}

/// A key under which an answer can be kept.
#[derive(Debug)]
pub(crate) struct FreeSlot {
    request: RequestDigest,
    /// An answer that has expired and has not been swept yet.
    stale: Option<(Revision, Timestamp)>,
}

impl OrderRepo<'_> {
    /// Looks up an idempotency key.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn kept(&self, request: RequestDigest, now: Timestamp) -> Result<KeySlot, RepoError> {
        let key = kept_key(&request);
        let Some(stored) = self.store.get(vec![key.clone()])?.into_iter().next().flatten() else {
            return Ok(KeySlot::Free(FreeSlot { request, stale: None }));
        };
        let answer = KeptAnswer::from_record(&key, &stored.value)?;
        if answer.expires > now {
            return Ok(KeySlot::Kept(answer));
        }
        Ok(KeySlot::Free(FreeSlot { request, stale: Some((stored.revision, answer.expires)) }))
    }

    /// Stores a new order with its first event, and keeps the answer to its request: both or neither. Lost if
    /// the id is taken, or if another request with the same key was first.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn create_kept(
        &self,
        record: &OrderRecord,
        event: &Event,
        slot: &FreeSlot,
        answer: &KeptAnswer,
    ) -> Result<Written, RepoError> {
        let order = record.order();
        let key = kept_key(&slot.request);
        let mut checks = vec![Check::Absent(order_key(order.id))];
        let mut writes = new_order(record, event)?;
        match slot.stale {
            None => checks.push(Check::Absent(key.clone())),
            Some((revision, expired)) => {
                checks.push(Check::AtRevision(key.clone(), revision));
                writes.push(Write::Delete(expiry_key(expired, &slot.request)));
            }
        }
        let record = answer.to_record(&key)?;
        writes.push(Write::Put(key.clone(), record));
        writes.push(Write::Put(expiry_key(answer.expires, &slot.request), Vec::new()));

        let [.., chance, last] = order.id.bytes();
        if last % SWEEP_ONE_IN == 0 {
            let (own_checks, own_writes) = (checks.clone(), writes.clone());
            for place in self.expired(order.created_at, chance)? {
                // The answer that is written here has a new place.
                if let Some(kept) = kept_key_of(&place.key).filter(|kept| *kept != key) {
                    checks.push(Check::AtRevision(place.key.clone(), place.stored.revision));
                    writes.extend([Write::Delete(place.key), Write::Delete(kept)]);
                }
            }
            let own = own_checks.len();
            return match self.store.commit(checks, writes)? {
                Outcome::Committed => Ok(Written::Done),
                // Another request has swept the same answers: this one goes without.
                Outcome::Conflict(index) if index >= own => self.commit(own_checks, own_writes),
                Outcome::Conflict(_) => Ok(Written::Lost),
            };
        }
        self.commit(checks, writes)
    }

    /// Places in the queue of some answers that have expired.
    ///
    /// A place is there as long as its answer is: a new answer under an old key takes the old one's place away. So to
    /// check the place, in the commit that removes the answer, makes sure that it is the one that has expired.
    fn expired(&self, now: Timestamp, chance: u8) -> Result<Vec<Entry>, RepoError> {
        let oldest = self.store.scan(&expired(now), WINDOW, Direction::Ascending)?;
        let parts = oldest.len().div_ceil(SWEEP).max(1);
        Ok(oldest.into_iter().skip(usize::from(chance) % parts * SWEEP).take(SWEEP).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{KeptAnswer, RequestDigest};
    use crate::order::Timestamp;
    use crate::repo::RepoError;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let answer = KeptAnswer {
            fingerprint: "f".to_owned(),
            status: 201,
            headers: vec![("etag".to_owned(), "\"1\"".to_owned())],
            expires: Timestamp::from_unix_ms(1),
            body: b"{\n\"a\": \"\xc3\xa9\"}\n".to_vec(),
        };
        let record = answer.to_record("i/x").unwrap();
        assert_eq!(KeptAnswer::from_record("i/x", &record).unwrap(), answer);
        let empty = KeptAnswer { body: Vec::new(), ..answer };
        assert_eq!(KeptAnswer::from_record("i/x", &empty.to_record("i/x").unwrap()).unwrap(), empty);
    }

    #[test]
    fn a_record_that_is_no_answer_is_corrupt() {
        for record in ["", "\n", "{}", "{}\n{}", "x"] {
            let read = KeptAnswer::from_record("i/x", record.as_bytes());
            assert!(matches!(read, Err(RepoError::Corrupt { .. })), "{record}: {read:?}");
        }
    }

    #[test]
    fn requests_differ_by_method_path_and_key() {
        let one = RequestDigest::of("POST", "/a", "k");
        assert_eq!(one, RequestDigest::of("POST", "/a", "k"));
        for other in [("PUT", "/a", "k"), ("POST", "/b", "k"), ("POST", "/a", "l"), ("POST/", "a", "k")] {
            assert_ne!(one, RequestDigest::of(other.0, other.1, other.2));
        }
    }
}
