//! The binary format of the blobs: a kind, a revision, a body, and a checksum over all of it.
//!
//! Numbers are little-endian. A storage returns whole blobs. A truncated or altered blob is reported as damaged and never
//! misread as a valid one.

use std::collections::BTreeMap;

use crate::{
    contract::{Stored, Write},
    state::State,
};

/// The first bytes of every blob: they identify the format and its version.
const MAGIC: &[u8; 4] = b"ost1";
/// Size of a checkpoint part in bytes, below the limits of other hosts for one value (1 MB with NATS).
const PART_BYTES: usize = 256 * 1024;

/// The kind of a blob, as stored in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Record = b'r',
    Checkpoint = b'c',
    Closed = b'x',
    Part = b'p',
}

/// The blob is truncated, altered, or not the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged;

/// The content of the blob under a checkpoint's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckpointHeader {
    /// The checkpoint exists and has this many parts.
    Parts(u32),
    /// No checkpoint of this revision exists or will be written.
    Closed,
}

/// Encodes a commit.
pub(crate) fn encode_record(revision: u64, writes: &[Write]) -> Vec<u8> {
    let mut body = Vec::new();
    for write in writes {
        match write {
            Write::Put(key, value) => {
                body.push(b'+');
                put_bytes(&mut body, key.as_bytes());
                put_bytes(&mut body, value);
            }
            Write::Delete(key) => {
                body.push(b'-');
                put_bytes(&mut body, key.as_bytes());
            }
        }
    }
    seal(Kind::Record, revision, &body)
}

/// Decodes the writes of the commit with this revision.
pub(crate) fn decode_record(blob: &[u8], revision: u64) -> Result<Vec<Write>, Damaged> {
    let mut body = unseal(blob, Kind::Record, revision)?;
    let mut writes = Vec::new();
    while let Some(kind) = body.split_off_first() {
        let key = take_string(&mut body)?;
        writes.push(match *kind {
            b'+' => Write::Put(key, take_bytes(&mut body)?.to_vec()),
            b'-' => Write::Delete(key),
            _ => return Err(Damaged),
        });
    }
    Ok(writes)
}

/// Encodes the header of a checkpoint.
pub(crate) fn encode_header(revision: u64, header: CheckpointHeader) -> Vec<u8> {
    match header {
        CheckpointHeader::Parts(count) => seal(Kind::Checkpoint, revision, &count.to_le_bytes()),
        CheckpointHeader::Closed => seal(Kind::Closed, revision, &[]),
    }
}

/// Decodes the header of the checkpoint with this revision.
pub(crate) fn decode_header(blob: &[u8], revision: u64) -> Result<CheckpointHeader, Damaged> {
    if unseal(blob, Kind::Closed, revision).is_ok_and(<[u8]>::is_empty) {
        return Ok(CheckpointHeader::Closed);
    }
    let count = unseal(blob, Kind::Checkpoint, revision)?.try_into().map_err(|_| Damaged)?;
    Ok(CheckpointHeader::Parts(u32::from_le_bytes(count)))
}

/// Encodes the parts of a checkpoint of this state, in order. Each part contains its revision and number.
pub(crate) fn encode_parts(state: &State) -> Vec<Vec<u8>> {
    let mut body = Vec::new();
    for (key, stored) in state.entries() {
        put_bytes(&mut body, key.as_bytes());
        body.extend_from_slice(&stored.revision.to_le_bytes());
        put_bytes(&mut body, &stored.value);
    }
    let chunks = (0_u32..).zip(body.chunks(PART_BYTES));
    chunks
        .map(|(number, chunk)| {
            seal(Kind::Part, state.revision(), &[number.to_le_bytes().as_slice(), chunk].concat())
        })
        .collect()
}

/// Decodes the content of the part with this number.
pub(crate) fn decode_part(blob: &[u8], revision: u64, number: u32) -> Result<&[u8], Damaged> {
    let (stored_number, chunk) = unseal(blob, Kind::Part, revision)?.split_at_checked(4).ok_or(Damaged)?;
    if stored_number == number.to_le_bytes() { Ok(chunk) } else { Err(Damaged) }
}

/// Decodes the state from the concatenated contents of its parts.
pub(crate) fn decode_state(mut body: &[u8], revision: u64) -> Result<State, Damaged> {
    let mut entries = BTreeMap::new();
    while !body.is_empty() {
        let key = take_string(&mut body)?;
        let entry_revision = take_u64(&mut body)?;
        let value = take_bytes(&mut body)?.to_vec();
        entries.insert(key, Stored { value, revision: entry_revision });
    }
    Ok(State::from_checkpoint(entries, revision))
}

/// Wraps a body in its header and checksum.
fn seal(kind: Kind, revision: u64, body: &[u8]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(body.len() + 21);
    blob.extend_from_slice(MAGIC);
    blob.push(kind as u8);
    blob.extend_from_slice(&revision.to_le_bytes());
    blob.extend_from_slice(body);
    let checksum = checksum(&blob);
    blob.extend_from_slice(&checksum.to_le_bytes());
    blob
}

/// Verifies the checksum and header of a blob and returns its body.
fn unseal(blob: &[u8], kind: Kind, revision: u64) -> Result<&[u8], Damaged> {
    let (content, stored_checksum) = blob.split_last_chunk::<8>().ok_or(Damaged)?;
    if checksum(content).to_le_bytes() != *stored_checksum {
        return Err(Damaged);
    }
    let mut header = MAGIC.to_vec();
    header.push(kind as u8);
    header.extend_from_slice(&revision.to_le_bytes());
    content.strip_prefix(header.as_slice()).ok_or(Damaged)
}

/// FNV-1a over the bytes and their count. It always detects a change of one byte, and almost always any other change.
fn checksum(bytes: &[u8]) -> u64 {
    let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes();
    bytes
        .iter()
        .chain(&count)
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Appends a length and that many bytes.
fn put_bytes(body: &mut Vec<u8>, bytes: &[u8]) {
    // The conversion cannot fail: `contract` limits keys and values to far smaller sizes.
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(bytes);
}

/// Consumes a length and that many bytes from the front of the body.
fn take_bytes<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], Damaged> {
    let length = usize::try_from(take_u64(body)?).map_err(|_| Damaged)?;
    let (bytes, rest) = body.split_at_checked(length).ok_or(Damaged)?;
    *body = rest;
    Ok(bytes)
}

fn take_string(body: &mut &[u8]) -> Result<String, Damaged> {
    String::from_utf8(take_bytes(body)?.to_vec()).map_err(|_| Damaged)
}

fn take_u64(body: &mut &[u8]) -> Result<u64, Damaged> {
    let (bytes, rest) = body.split_first_chunk::<8>().ok_or(Damaged)?;
    *body = rest;
    Ok(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::{
        CheckpointHeader, Damaged, decode_header, decode_part, decode_record, decode_state, encode_header,
        encode_parts, encode_record,
    };
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
    fn every_blob_decodes_to_what_was_encoded() {
        assert_eq!(decode_record(&encode_record(7, &writes()), 7), Ok(writes()));
        assert_eq!(decode_record(&encode_record(7, &[]), 7), Ok(Vec::new()));
        for header in [CheckpointHeader::Closed, CheckpointHeader::Parts(0), CheckpointHeader::Parts(3)] {
            assert_eq!(decode_header(&encode_header(64, header), 64), Ok(header));
        }
        let mut state = State::default();
        state.commit(&[], writes()).unwrap();
        state.commit(&[], vec![Write::Put("large".into(), vec![7; 700_000])]).unwrap();
        let blobs = encode_parts(&state);
        assert_eq!(blobs.len(), 3);
        let body: Vec<u8> = (0..)
            .zip(&blobs)
            .flat_map(|(number, blob)| decode_part(blob, 2, number).unwrap().to_vec())
            .collect();
        assert_eq!(decode_state(&body, 2), Ok(state));
        assert_eq!(decode_part(&blobs[0], 2, 1), Err(Damaged));
    }

    #[test]
    fn a_truncated_altered_or_misplaced_blob_is_damaged() {
        let blob = encode_record(7, &writes());
        assert_eq!(decode_record(&blob, 8), Err(Damaged));
        for length in 0..blob.len() {
            assert_eq!(decode_record(&blob[..length], 7), Err(Damaged), "truncated to {length} bytes");
        }
        for at in 0..blob.len() {
            for bit in 0..8 {
                let mut altered = blob.clone();
                altered[at] ^= 1 << bit;
                assert_eq!(decode_record(&altered, 7), Err(Damaged), "bit {bit} of byte {at}");
            }
        }
        let header = encode_header(64, CheckpointHeader::Parts(2));
        for length in 0..header.len() {
            assert_eq!(decode_header(&header[..length], 64), Err(Damaged));
        }
    }
}
