//! The binary format of the blobs: a kind, a revision, a body, and a checksum over all of it.
//!
//! Numbers are little-endian. A storage returns whole blobs. A truncated or altered blob is reported as damaged and never
//! misread as a valid one.

use std::collections::BTreeMap;

use crate::{
    contract::{Stored, Write},
    view::PartEntries,
};

/// The first bytes of every blob: they identify the format and its version.
const MAGIC: &[u8; 4] = b"ost1";
/// A part of a checkpoint ends with the entry that makes it this large, in bytes. A request reads at least one part; the fewer there
/// are, the shorter are the index and the list of names.
const PART_BYTES: usize = 64 * 1024;
/// A record begins with the deletion of this key and the id of the commit in hexadecimal digits. Nobody stores such a key; versions
/// that know nothing of ids delete it without effect.
const ID_KEY: &str = "\u{10FFFF}id.";

/// The kind of a blob, as stored in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Record = b'r',
    Checkpoint = b'c',
    Closed = b'x',
    Part = b'p',
    Index = b'i',
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

/// What the index of a checkpoint says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    /// The first key of each part.
    pub(crate) first_keys: Vec<String>,
    /// The ids of the last commits, by their revisions.
    pub(crate) recent: BTreeMap<u64, u64>,
}

/// Encodes a commit with its id, a random number.
pub(crate) fn encode_record(revision: u64, id: u64, writes: &[Write]) -> Vec<u8> {
    let mut body = Vec::new();
    let id = Write::Delete(format!("{ID_KEY}{id:016x}"));
    for write in std::iter::once(&id).chain(writes) {
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

/// Decodes the id and the writes of the commit with this revision. Earlier versions wrote no id.
pub(crate) fn decode_record(blob: &[u8], revision: u64) -> Result<(Option<u64>, Vec<Write>), Damaged> {
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
    let id = match writes.first() {
        Some(Write::Delete(key)) => {
            key.strip_prefix(ID_KEY).and_then(|digits| u64::from_str_radix(digits, 16).ok())
        }
        _ => None,
    };
    if id.is_some() {
        writes.remove(0);
    }
    Ok((id, writes))
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

/// Encodes the parts of a checkpoint of these entries; returns the first key of each. Each part contains its revision and number.
pub(crate) fn encode_parts<'a>(
    revision: u64,
    entries: impl Iterator<Item = (&'a str, &'a Stored)>,
) -> Vec<(String, Vec<u8>)> {
    let mut chunks: Vec<(String, Vec<u8>)> = Vec::new();
    for (key, stored) in entries {
        if chunks.last().is_none_or(|(_, chunk)| chunk.len() >= PART_BYTES) {
            let number = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
            chunks.push((key.to_owned(), number.to_le_bytes().to_vec()));
        }
        if let Some((_, chunk)) = chunks.last_mut() {
            put_bytes(chunk, key.as_bytes());
            chunk.extend_from_slice(&stored.revision.to_le_bytes());
            put_bytes(chunk, &stored.value);
        }
    }
    chunks.into_iter().map(|(first, chunk)| (first, seal(Kind::Part, revision, &chunk))).collect()
}

/// Encodes the index of a checkpoint.
pub(crate) fn encode_index(revision: u64, index: &Index) -> Vec<u8> {
    let mut body = Vec::new();
    put_count(&mut body, index.first_keys.len());
    for key in &index.first_keys {
        put_bytes(&mut body, key.as_bytes());
    }
    for (revision, id) in &index.recent {
        body.extend_from_slice(&revision.to_le_bytes());
        body.extend_from_slice(&id.to_le_bytes());
    }
    seal(Kind::Index, revision, &body)
}

/// Decodes the index of the checkpoint with this revision.
pub(crate) fn decode_index(blob: &[u8], revision: u64) -> Result<Index, Damaged> {
    let mut body = unseal(blob, Kind::Index, revision)?;
    let mut index = Index::default();
    for _ in 0..take_u64(&mut body)? {
        index.first_keys.push(take_string(&mut body)?);
    }
    while !body.is_empty() {
        index.recent.insert(take_u64(&mut body)?, take_u64(&mut body)?);
    }
    Ok(index)
}

/// Decodes the content of the part with this number.
pub(crate) fn decode_part(blob: &[u8], revision: u64, number: u32) -> Result<&[u8], Damaged> {
    let (stored_number, chunk) = unseal(blob, Kind::Part, revision)?.split_at_checked(4).ok_or(Damaged)?;
    if stored_number == number.to_le_bytes() { Ok(chunk) } else { Err(Damaged) }
}

/// Decodes the entries in the content of a part, or in those of all parts one after the other: earlier versions ended a part anywhere.
pub(crate) fn decode_entries(mut body: &[u8]) -> Result<PartEntries, Damaged> {
    let mut entries = BTreeMap::new();
    while !body.is_empty() {
        let key = take_string(&mut body)?;
        let entry_revision = take_u64(&mut body)?;
        let value = take_bytes(&mut body)?.to_vec();
        entries.insert(key, Stored { value, revision: entry_revision });
    }
    Ok(entries)
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
    put_count(body, bytes.len());
    body.extend_from_slice(bytes);
}

fn put_count(body: &mut Vec<u8>, count: usize) {
    // The conversion cannot fail: `usize` has at most 64 bits.
    body.extend_from_slice(&u64::try_from(count).unwrap_or(u64::MAX).to_le_bytes());
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
        CheckpointHeader, Damaged, Index, decode_entries, decode_header, decode_index, decode_part,
        decode_record, encode_header, encode_index, encode_parts, encode_record,
    };
    use crate::{
        contract::{Stored, Write},
        view::PartEntries,
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
        assert_eq!(decode_record(&encode_record(7, 9, &writes()), 7), Ok((Some(9), writes())));
        assert_eq!(decode_record(&encode_record(7, u64::MAX, &[]), 7), Ok((Some(u64::MAX), Vec::new())));
        let like_an_id = vec![Write::Delete("\u{10FFFF}id.1".into()), Write::Delete("\u{10FFFF}id.x".into())];
        assert_eq!(decode_record(&encode_record(7, 9, &like_an_id), 7), Ok((Some(9), like_an_id)));
        for header in [CheckpointHeader::Closed, CheckpointHeader::Parts(0), CheckpointHeader::Parts(3)] {
            assert_eq!(decode_header(&encode_header(64, header), 64), Ok(header));
        }
        for first_keys in [vec![], vec!["a".to_owned(), "é".to_owned()]] {
            let index = Index { first_keys, recent: [(63, 1), (64, u64::MAX)].into() };
            assert_eq!(decode_index(&encode_index(64, &index), 64), Ok(index));
        }
    }

    #[test]
    fn a_part_ends_with_an_entry_and_all_parts_together_are_the_state() {
        let stored = |bytes: usize| Stored { value: vec![7; bytes], revision: 1 };
        let entries: PartEntries = [("a", 10), ("b", 70_000), ("c", 700_000), ("d", 5)]
            .map(|(key, bytes)| (key.to_owned(), stored(bytes)))
            .into();
        let blobs = encode_parts(2, entries.iter().map(|(key, stored)| (key.as_str(), stored)));
        assert_eq!(blobs.iter().map(|(first, _)| first.as_str()).collect::<Vec<_>>(), ["a", "c", "d"]);
        let chunks: Vec<_> =
            (0..).zip(&blobs).map(|(number, (_, blob))| decode_part(blob, 2, number).unwrap()).collect();
        assert_eq!(decode_entries(&chunks.concat()), Ok(entries.clone()));
        let each: PartEntries = chunks.iter().flat_map(|chunk| decode_entries(chunk).unwrap()).collect();
        assert_eq!(each, entries);
        assert_eq!(decode_part(&blobs[0].1, 2, 1), Err(Damaged));
    }

    #[test]
    fn a_truncated_altered_or_misplaced_blob_is_damaged() {
        let blob = encode_record(7, 9, &writes());
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
