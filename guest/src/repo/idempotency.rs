//! Responses stored under idempotency keys: committed together with the order, replayed to a repeated request, and
//! removed after they have expired.

use serde::{Deserialize, Serialize};

use super::error::RepoError;
use super::keys::{
    RequestDigest, SWEPT, expired_range, expiry_key, expiry_of, order_key, response_key, response_key_for,
};
use super::orders::{OrderRepo, creation_writes};
use super::records::{OrderRecord, encode};
use crate::order::{Event, OrderId, Timestamp};
use crate::store::{Check, Direction, Entry, Outcome, Revision, Write};

/// One in this many creates removes expired responses.
const SWEEP_ONE_IN: u8 = 4;
/// The maximum number of expired responses that one create removes. This is four times the number of responses stored
/// between two sweeps, because only one of two concurrent creates that remove the same responses succeeds in doing so.
const SWEEP_BATCH: usize = 16;
/// The number of oldest responses from which a sweep picks a batch at random, so that concurrent creates mostly pick
/// different batches.
const SWEEP_WINDOW: u32 = 256;
/// One in this many sweeps starts at the beginning of the queue, for what the clock of a host that was behind has left there.
/// As that passes over everything removed since, it has to be rare.
const SWEEP_ALL_ONE_IN: u16 = 1024;
/// The mark up to which the queue is swept is written if it is this much later than the stored one. The database keeps each
/// mark for as long as a transaction is open, and passes over them in a sweep, as it does over removed entries.
const MARK_STEP_MS: u64 = 5_000;

/// The response to a request with an idempotency key.
///
/// The record is one line of JSON (everything but the body), a line feed, and the body as it was sent. Unknown members of the line,
/// which a newer version may have written, are ignored: the record is never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredResponse {
    /// The digest of the request body. A repeated request has the same fingerprint.
    pub(crate) fingerprint: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// From this time on, the key can be used for another request.
    pub(crate) expires: Timestamp,
    #[serde(skip)]
    pub(crate) body: Vec<u8>,
}

impl StoredResponse {
    fn to_record(&self, key: &str) -> Result<Vec<u8>, RepoError> {
        let mut record = encode(self).map_err(|error| RepoError::corrupt(key, &error))?;
        record.push(b'\n');
        record.extend_from_slice(&self.body);
        Ok(record)
    }

    fn from_record(key: &str, record: &[u8]) -> Result<Self, RepoError> {
        let line = record.iter().position(|byte| *byte == b'\n').unwrap_or(record.len());
        let (line, body) = record.split_at(line);
        let line = std::str::from_utf8(line).map_err(|error| RepoError::corrupt(key, &error))?;
        let response: Self = serde_json::from_str(line).map_err(|error| RepoError::corrupt(key, &error))?;
        Ok(Self { body: body.get(1..).unwrap_or_default().to_vec(), ..response })
    }
}

/// The result of looking up an idempotency key.
#[derive(Debug)]
pub(crate) enum KeyLookup {
    /// The key is not in use. Contains the expired response that has not been removed yet, if any.
    Unused(Option<ExpiredResponse>),
    /// The response to an earlier request with the key.
    Used(StoredResponse),
}

/// A response that has expired and has not been removed yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExpiredResponse {
    revision: Revision,
    expires: Timestamp,
}

/// The outcome of creating an order with an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyedOutcome {
    /// The order and the response are durable.
    Committed,
    /// Another order has the id.
    IdInUse,
    /// Something is stored under the key, or has been removed.
    KeyInUse,
}

impl OrderRepo<'_> {
    /// Looks up an idempotency key.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn look_up_key(&self, request: RequestDigest, now: Timestamp) -> Result<KeyLookup, RepoError> {
        let key = response_key(&request);
        let Some(stored) = self.store.get(vec![key.clone()])?.into_iter().next().flatten() else {
            return Ok(KeyLookup::Unused(None));
        };
        let response = StoredResponse::from_record(&key, &stored.value)?;
        if response.expires > now {
            return Ok(KeyLookup::Used(response));
        }
        Ok(KeyLookup::Unused(Some(ExpiredResponse { revision: stored.revision, expires: response.expires })))
    }

    /// Stores a new order with its first event and the response under the key, in one commit, in place of one that has expired.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn create_with_key(
        &self,
        record: &OrderRecord,
        event: &Event,
        request: RequestDigest,
        expired: Option<ExpiredResponse>,
        response: &StoredResponse,
    ) -> Result<KeyedOutcome, RepoError> {
        let key = response_key(&request);
        let mut checks = vec![Check::Absent(order_key(record.id()))];
        let mut writes = creation_writes(record, event)?;
        match expired {
            None => checks.push(Check::Absent(key.clone())),
            Some(ExpiredResponse { revision, expires }) => {
                checks.push(Check::AtRevision(key.clone(), revision));
                writes.push(Write::Delete(expiry_key(expires, &request)));
            }
        }
        writes.push(Write::Put(key.clone(), response.to_record(&key)?));
        writes.push(Write::Put(expiry_key(response.expires, &request), Vec::new()));
        match self.commit_and_sweep(record.id(), event.occurred_at, &key, checks, writes)? {
            Outcome::Committed => Ok(KeyedOutcome::Committed),
            Outcome::Conflict(0) => Ok(KeyedOutcome::IdInUse),
            Outcome::Conflict(_) => Ok(KeyedOutcome::KeyInUse),
        }
    }

    /// Commits what stores an order. Now and then, removes expired responses in the same commit; chance is taken from the id.
    fn commit_and_sweep(
        &self,
        id: OrderId,
        now: Timestamp,
        key: &str,
        mut checks: Vec<Check>,
        mut writes: Vec<Write>,
    ) -> Result<Outcome, RepoError> {
        let [.., all_high, all_low, chance, last] = id.bytes();
        if last % SWEEP_ONE_IN != 0 {
            return Ok(self.store.commit(checks, writes)?);
        }
        let (own_checks, own_writes) = (checks.clone(), writes.clone());
        let all = u16::from_be_bytes([all_high, all_low]) % SWEEP_ALL_ONE_IN == 0;
        let sweep = self.sweep(now, all, chance)?;
        for entry in sweep.expired {
            // The response stored by this commit replaces an expired one under the same key.
            if let Some(expired) = response_key_for(&entry.key).filter(|expired| expired != key) {
                checks.push(Check::AtRevision(entry.key.clone(), entry.stored.revision));
                writes.extend([Write::Delete(entry.key), Write::Delete(expired)]);
            }
        }
        let mark = sweep.mark.map(|mark| mark.unix_ms().to_string().into_bytes());
        writes.extend(mark.map(|mark| Write::Put(SWEPT.to_owned(), mark)));
        let own = own_checks.len();
        match self.store.commit(checks, writes)? {
            // Another request has removed the same responses: commit without removing any.
            Outcome::Conflict(index) if index >= own => Ok(self.store.commit(own_checks, own_writes)?),
            outcome => Ok(outcome),
        }
    }

    /// Selects some entries of the expiry queue whose responses have expired.
    ///
    /// An entry of the queue exists as long as its response: a new response under the same key deletes the entry of the old
    /// one. A commit that checks the entry therefore removes only a response that has expired.
    ///
    /// A database cannot free removed entries while any transaction that began before is open, such as a backup, and each scan
    /// passes over them. The queue is therefore read from a stored mark, below which nothing is left: new entries
    /// expire later. A mark may be out of date, but never too late, so it is written without a check.
    fn sweep(&self, now: Timestamp, all: bool, chance: u8) -> Result<Sweep, RepoError> {
        let stored = self.store.get(vec![SWEPT.to_owned()])?.into_iter().next().flatten();
        let swept = stored.and_then(|mark| std::str::from_utf8(&mark.value).ok()?.parse().ok()).unwrap_or(0);
        let start = Timestamp::from_unix_ms(if all { 0 } else { swept });
        let oldest = self.store.scan(&expired_range(start, now), SWEEP_WINDOW, Direction::Ascending)?;
        let batches = oldest.len().div_ceil(SWEEP_BATCH).max(1);
        let first = usize::from(chance) % batches * SWEEP_BATCH;
        let left = if first == 0 { oldest.get(SWEEP_BATCH) } else { oldest.first() };
        let mark = left.map_or(Some(now), |entry| expiry_of(&entry.key));
        // A host whose clock was ahead may have stored a later mark. What has expired since is then found with the next one.
        let mark = mark.filter(|mark| {
            mark.unix_ms() >= swept.saturating_add(MARK_STEP_MS) || all && mark.unix_ms() < swept
        });
        Ok(Sweep { expired: oldest.into_iter().skip(first).take(SWEEP_BATCH).collect(), mark })
    }
}

/// What a create removes in addition to what it stores.
struct Sweep {
    /// Entries of the expiry queue.
    expired: Vec<Entry>,
    /// The new mark: after the commit, the queue has no entry that expires before.
    mark: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::StoredResponse;
    use crate::order::Timestamp;
    use crate::repo::RepoError;

    #[test]
    fn a_stored_response_round_trips() {
        let response = StoredResponse {
            fingerprint: "f".to_owned(),
            status: 201,
            headers: vec![("etag".to_owned(), "\"1\"".to_owned())],
            expires: Timestamp::from_unix_ms(1),
            body: b"{\n\"a\": \"\xc3\xa9\"}\n".to_vec(),
        };
        let record = response.to_record("i/x").unwrap();
        assert_eq!(StoredResponse::from_record("i/x", &record).unwrap(), response);
        let empty = StoredResponse { body: Vec::new(), ..response };
        assert_eq!(StoredResponse::from_record("i/x", &empty.to_record("i/x").unwrap()).unwrap(), empty);
    }

    #[test]
    fn a_record_that_is_not_a_response_is_corrupt() {
        for record in ["", "\n", "{}", "{}\n{}", "x"] {
            let read = StoredResponse::from_record("i/x", record.as_bytes());
            assert!(matches!(read, Err(RepoError::Corrupt { .. })), "{record}: {read:?}");
        }
    }
}
