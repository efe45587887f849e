//! The gzip format (RFC 1952). build.rs uses this file too, so it depends on nothing else in this crate.

use miniz_oxide::deflate::compress_to_vec;

/// The size of the header: no name, no comment, no time.
pub(crate) const HEADER_SIZE: usize = 10;

/// The size of the trailer: the CRC-32 and the size of the content.
pub(crate) const TRAILER_SIZE: usize = 8;

/// Compresses content. `level` is from 0 to 10: 1 is fast, 10 is small.
pub(crate) fn compress(content: &[u8], level: u8) -> Vec<u8> {
    let deflated = compress_to_vec(content, level);
    let mut file = Vec::with_capacity(HEADER_SIZE + deflated.len() + TRAILER_SIZE);
    // Two magic bytes, the method DEFLATE, no flags, four bytes for the time, no hint about the level, an unknown system.
    file.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    file.extend_from_slice(&deflated);
    file.extend_from_slice(&crc32(content).to_le_bytes());
    // The format wants the size modulo 2³².
    let size = u32::try_from(content.len() & 0xffff_ffff).unwrap_or(u32::MAX);
    file.extend_from_slice(&size.to_le_bytes());
    file
}

/// The CRC-32 of RFC 1952 §8.
fn crc32(content: &[u8]) -> u32 {
    !content.iter().fold(u32::MAX, |crc, byte| {
        let [lowest, ..] = crc.to_le_bytes();
        TABLE.get(usize::from(lowest ^ byte)).map_or(0, |entry| entry ^ (crc >> 8))
    })
}

/// The CRC-32 of every byte.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let (mut index, mut start) = (0, 0);
    while index < 256 {
        let (mut crc, mut bit) = (start, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
        start += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{HEADER_SIZE, TRAILER_SIZE, compress, crc32};
    use miniz_oxide::inflate::decompress_to_vec;
    use proptest::prelude::{prop_assert_eq, proptest};

    /// The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
    #[test]
    fn checksums_match_known_values() {
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    /// From Python: `gzip.compress(b"aaaaa", 9, mtime=0)`, whose header has another hint and system.
    #[test]
    fn a_known_text_is_compressed_to_a_known_file() {
        let file = compress(b"aaaaa", 9);
        let (header, rest) = file.split_at(HEADER_SIZE);
        assert_eq!(header, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        assert_eq!(rest, [0x4b, 0x4c, 0x04, 0x02, 0x00, 0xb9, 0x93, 0xac, 0xee, 5, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn compressed_content_can_be_restored(content: Vec<u8>, level in 0..=10u8) {
            let file = compress(&content, level);
            let deflated = &file[HEADER_SIZE..file.len() - TRAILER_SIZE];
            prop_assert_eq!(decompress_to_vec(deflated).unwrap(), content);
        }
    }
}
