//! Compression of responses with gzip.
//!
//! | File | Contents |
//! |---|---|
//! | `file` | what a gzip file has around the compressed content (RFC 1952) |
//! | `deflate` | the compression itself (RFC 1951) |

mod deflate;
mod file;

pub(crate) use self::file::{HEADER, TRAILER_SIZE};

/// Compresses content, quickly rather than to the smallest size. `None` if the result would not be smaller.
pub(crate) fn compress(content: &[u8]) -> Option<Vec<u8>> {
    // All at once: a buffer that doubled as it grew would hold up to three times the result for a moment.
    let mut file = Vec::with_capacity(content.len());
    file.extend_from_slice(&HEADER);
    deflate::append(content, content.len().checked_sub(TRAILER_SIZE)?, &mut file)?;
    file.extend_from_slice(&file::trailer(content));
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::{HEADER, TRAILER_SIZE, compress};
    use flate2::read::GzDecoder;
    use miniz_oxide::inflate::decompress_to_vec;
    use proptest::prelude::{prop_assert, proptest};
    use proptest::sample::Index;
    use std::io::Read;

    /// The content of a file, after a comparison of two readers.
    fn restored(file: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        GzDecoder::new(file).read_to_end(&mut content).unwrap();
        let deflated = &file[HEADER.len()..file.len() - TRAILER_SIZE];
        assert!(decompress_to_vec(deflated).unwrap() == content);
        content
    }

    #[test]
    fn content_that_does_not_shrink_is_not_compressed() {
        for content in [&b""[..], b"a", b"aaaaaaaaaaaaaaaaaaaa", &(0..=255).collect::<Vec<u8>>()] {
            assert_eq!(compress(content), None, "{content:?}");
        }
    }

    /// Every length and every distance of a repetition that the format has.
    #[test]
    fn repetitions_of_every_length_and_distance_are_restored() {
        // No four bytes of it occur twice.
        let unique: Vec<u8> =
            (0..20_000_u32).flat_map(|number| [number, number >> 8]).map(|n| n.to_le_bytes()[0]).collect();
        for length in 4..=600 {
            let content = [&unique[..1000], &[0xff; 2000], &unique[100..100 + length], b"\xfe"].concat();
            assert!(restored(&compress(&content).unwrap()) == content, "{length}");
        }
        for distance in (1..=100).chain((100..33_000).step_by(97)).chain(32_766..=32_770) {
            let start = &unique[..distance];
            let content = [start, &start[..distance.min(300)], &[0xff; 9000]].concat();
            assert!(restored(&compress(&content).unwrap()) == content, "{distance}");
        }
    }

    #[test]
    fn json_becomes_much_smaller() {
        let order = |n: u32| {
            let customer = n.wrapping_mul(0x9e37_79b1);
            let (sku, quantity, price) = (n % 90, n % 7 + 1, n * 37 % 9999);
            format!(
                r#"{{"id":"01a2034e-2c04-7a64-8cfa-{n:012x}","status":"pending","customer":"customer-{customer}","items":["#
            ) + &format!(
                r#"{{"sku":"tea-{sku}","quantity":{quantity},"unit_price":{price}}}],"version":1}},"#
            )
        };
        let content: String = (0..100).map(order).collect();
        let file = compress(content.as_bytes()).unwrap();
        assert!(restored(&file) == content.as_bytes());
        assert!(file.len() * 4 < content.len(), "{} of {}", file.len(), content.len());
    }

    proptest! {
        #[test]
        fn compressed_content_is_restored(
            words in proptest::collection::vec(proptest::collection::vec(0..=255_u8, 0..40), 1..20),
            sequence in proptest::collection::vec(proptest::prelude::any::<Index>(), 0..400),
        ) {
            let content: Vec<u8> = sequence.iter().flat_map(|index| index.get(&words).clone()).collect();
            if let Some(file) = compress(&content) {
                prop_assert!(file.len() <= content.len());
                prop_assert!(restored(&file) == content);
            }
        }
    }
}
