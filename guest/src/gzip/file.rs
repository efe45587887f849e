//! What a gzip file has around the compressed content (RFC 1952). build.rs uses this file too, so it depends on nothing.

/// The header: two magic bytes, the method DEFLATE, no flags, no time (four bytes), no hint about the level, an unknown system.
pub(crate) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// The size of the trailer.
pub(crate) const TRAILER_SIZE: usize = 8;

/// The trailer: the CRC-32 of the content, and its size modulo 2³².
pub(crate) fn trailer(content: &[u8]) -> [u8; TRAILER_SIZE] {
    // 64 bits, because `usize` may have 32.
    let size = u64::try_from(content.len()).unwrap_or(u64::MAX) & 0xffff_ffff;
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    let mut trailer = [0; TRAILER_SIZE];
    let bytes = crc32(content).to_le_bytes().into_iter().chain(size.to_le_bytes());
    for (to, from) in trailer.iter_mut().zip(bytes) {
        *to = from;
    }
    trailer
}

/// The CRC-32 of RFC 1952 §8.
fn crc32(content: &[u8]) -> u32 {
    !content.iter().fold(u32::MAX, |crc, byte| {
        let [lowest, ..] = crc.to_le_bytes();
        TABLE.get(usize::from(lowest ^ byte)).map_or(0, |entry| entry ^ (crc >> 8))
    })
}

/// The CRC-32 of every byte.
static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let (mut rest, mut byte) = (table.as_mut_slice(), 0);
    while let Some((entry, others)) = rest.split_first_mut() {
        *entry = byte;
        let mut bit = 0;
        while bit < 8 {
            *entry = if *entry & 1 == 1 { (*entry >> 1) ^ 0xedb8_8320 } else { *entry >> 1 };
            bit += 1;
        }
        byte += 1;
        rest = others;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{crc32, trailer};

    /// The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
    #[test]
    fn checksums_match_known_values() {
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    /// From Python: `gzip.compress(b"aaaaa")[-8:]`.
    #[test]
    fn the_trailer_has_the_checksum_and_the_size() {
        assert_eq!(trailer(b"aaaaa"), [0xb9, 0x93, 0xac, 0xee, 5, 0, 0, 0]);
    }
}
