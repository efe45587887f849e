//! What the blobs hold: a kind, a revision, a body, and a sum over all of it.
//!
//! Numbers are little-endian. A storage gives whole blobs; a cut or a changed one is damage, and is never taken for
//! something else.

use std::collections::BTreeMap;

use crate::{
    contract::{Stored, Write},
    state::State,
};

/// In front of every blob: what it is, and the version of this format.
const MAGIC: &[u8; 4] = b"ost1";
/// Bytes of a part of a checkpoint: below what hosts allow for a value (1 MB with NATS).
const PART_BYTES: usize = 256 * 1024;

/// What a blob says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Record = b'r',
    Checkpoint = b'c',
    Closed = b'x',
    Part = b'p',
}

/// The blob is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged;

/// What is under the name of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// The checkpoint has so many parts.
    Parts(u32),
    /// There will be none of this revision.
    Closed,
}

/// A commit.
pub(crate) fn record(revision: u64, writes: &[Write]) -> Vec<u8> {
    let mut body = Vec::new();
    for write in writes {
        match write {
            Write::Put(key, value) => {
                body.push(b'+');
                put(&mut body, key.as_bytes());
                put(&mut body, value);
            }
            Write::Delete(key) => {
                body.push(b'-');
                put(&mut body, key.as_bytes());
            }
        }
    }
    seal(Kind::Record, revision, &body)
}

/// The writes of the commit with this revision.
pub(crate) fn read_record(blob: &[u8], revision: u64) -> Result<Vec<Write>, Damaged> {
    let mut body = open(blob, Kind::Record, revision)?;
    let mut writes = Vec::new();
    while let Some(kind) = body.split_off_first() {
        let key = text(&mut body)?;
        writes.push(match *kind {
            b'+' => Write::Put(key, take(&mut body)?.to_vec()),
            b'-' => Write::Delete(key),
            _ => return Err(Damaged),
        });
    }
    Ok(writes)
}

/// What goes under the name of a checkpoint.
pub(crate) fn head(revision: u64, head: Head) -> Vec<u8> {
    match head {
        Head::Parts(count) => seal(Kind::Checkpoint, revision, &count.to_le_bytes()),
        Head::Closed => seal(Kind::Closed, revision, &[]),
    }
}

/// What is under the name of a checkpoint.
pub(crate) fn read_head(blob: &[u8], revision: u64) -> Result<Head, Damaged> {
    if open(blob, Kind::Closed, revision).is_ok_and(<[u8]>::is_empty) {
        return Ok(Head::Closed);
    }
    let count = open(blob, Kind::Checkpoint, revision)?.try_into().map_err(|_| Damaged)?;
    Ok(Head::Parts(u32::from_le_bytes(count)))
}

/// The parts of a checkpoint of this state, in order. Its revision and its number are sealed into each.
pub(crate) fn parts(state: &State) -> Vec<Vec<u8>> {
    let mut body = Vec::new();
    for (key, stored) in state.entries() {
        put(&mut body, key.as_bytes());
        body.extend_from_slice(&stored.revision.to_le_bytes());
        put(&mut body, &stored.value);
    }
    let chunks = (0_u32..).zip(body.chunks(PART_BYTES));
    chunks
        .map(|(number, chunk)| {
            seal(Kind::Part, state.revision(), &[number.to_le_bytes().as_slice(), chunk].concat())
        })
        .collect()
}

/// The content of the part with this number.
pub(crate) fn read_part(blob: &[u8], revision: u64, number: u32) -> Result<&[u8], Damaged> {
    let (found, chunk) = open(blob, Kind::Part, revision)?.split_at_checked(4).ok_or(Damaged)?;
    if found == number.to_le_bytes() { Ok(chunk) } else { Err(Damaged) }
}

/// The state that these contents of parts, one after another, hold.
pub(crate) fn read_state(mut body: &[u8], revision: u64) -> Result<State, Damaged> {
    let mut entries = BTreeMap::new();
    while !body.is_empty() {
        let key = text(&mut body)?;
        let written = number(&mut body)?;
        let value = take(&mut body)?.to_vec();
        entries.insert(key, Stored { value, revision: written });
    }
    Ok(State::restored(entries, revision))
}

fn seal(kind: Kind, revision: u64, body: &[u8]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(body.len() + 21);
    blob.extend_from_slice(MAGIC);
    blob.push(kind as u8);
    blob.extend_from_slice(&revision.to_le_bytes());
    blob.extend_from_slice(body);
    let sum = sum(&blob);
    blob.extend_from_slice(&sum.to_le_bytes());
    blob
}

/// The body of a blob.
fn open(blob: &[u8], kind: Kind, revision: u64) -> Result<&[u8], Damaged> {
    let (content, found) = blob.split_last_chunk::<8>().ok_or(Damaged)?;
    if sum(content).to_le_bytes() != *found {
        return Err(Damaged);
    }
    let mut start = MAGIC.to_vec();
    start.push(kind as u8);
    start.extend_from_slice(&revision.to_le_bytes());
    content.strip_prefix(start.as_slice()).ok_or(Damaged)
}

/// FNV-1a over the bytes and their count: a change of one byte always shows, any other all but always.
fn sum(bytes: &[u8]) -> u64 {
    let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes();
    bytes
        .iter()
        .chain(&count)
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A length and so many bytes.
fn put(body: &mut Vec<u8>, bytes: &[u8]) {
    // Keys and values are far smaller: `contract` has seen to it.
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(bytes);
}

fn take<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], Damaged> {
    let length = usize::try_from(number(body)?).map_err(|_| Damaged)?;
    let (taken, rest) = body.split_at_checked(length).ok_or(Damaged)?;
    *body = rest;
    Ok(taken)
}

fn text(body: &mut &[u8]) -> Result<String, Damaged> {
    String::from_utf8(take(body)?.to_vec()).map_err(|_| Damaged)
}

fn number(body: &mut &[u8]) -> Result<u64, Damaged> {
    let (bytes, rest) = body.split_first_chunk::<8>().ok_or(Damaged)?;
    *body = rest;
    Ok(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::{Damaged, Head, head, parts, read_head, read_part, read_record, read_state, record};
    use crate::{
        contract::{Store, Write},
        state::State,
    };

    fn writes() -> Vec<Write> {
        vec![
            Write::Put("a".into(), b"one".to_vec()),
            Write::Delete("b".into()),
            Write::Put("é".into(), Vec::new()),
        ]
    }

    #[test]
    fn everything_is_read_as_it_was_written() {
        assert_eq!(read_record(&record(7, &writes()), 7), Ok(writes()));
        assert_eq!(read_record(&record(7, &[]), 7), Ok(Vec::new()));
        for kind in [Head::Closed, Head::Parts(0), Head::Parts(3)] {
            assert_eq!(read_head(&head(64, kind), 64), Ok(kind));
        }
        let mut state = State::default();
        state.commit(&[], writes()).unwrap();
        state.commit(&[], vec![Write::Put("large".into(), vec![7; 700_000])]).unwrap();
        let blobs = parts(&state);
        assert_eq!(blobs.len(), 3);
        let body: Vec<u8> = (0..)
            .zip(&blobs)
            .flat_map(|(number, blob)| read_part(blob, 2, number).unwrap().to_vec())
            .collect();
        assert_eq!(read_state(&body, 2), Ok(state));
        assert_eq!(read_part(&blobs[0], 2, 1), Err(Damaged));
    }

    #[test]
    fn a_blob_that_is_cut_changed_or_of_another_revision_is_damaged() {
        let blob = record(7, &writes());
        assert_eq!(read_record(&blob, 8), Err(Damaged));
        for length in 0..blob.len() {
            assert_eq!(read_record(&blob[..length], 7), Err(Damaged), "cut to {length} bytes");
        }
        for at in 0..blob.len() {
            for bit in 0..8 {
                let mut changed = blob.clone();
                changed[at] ^= 1 << bit;
                assert_eq!(read_record(&changed, 7), Err(Damaged), "bit {bit} of byte {at}");
            }
        }
        let head = head(64, Head::Parts(2));
        for length in 0..head.len() {
            assert_eq!(read_head(&head[..length], 64), Err(Damaged));
        }
    }
}
