//! Compression with DEFLATE (RFC 1951), into one block with the fixed codes (§3.2.6).
//!
//! A compressor of general use would make the component 21 KB larger, and need 330 KB of memory, which the host would set up for
//! each page. This one needs 32 KB.

/// The shortest repetition that is looked for. Three bytes would be possible, but save next to nothing.
const MIN_LENGTH: usize = 4;
/// The longest repetition that the format has (§3.2.5).
const MAX_LENGTH: usize = 258;
/// The greatest distance of a repetition that the format has (§2).
const WINDOW: usize = 32 * 1024;
/// For how many starts of a repetition the last position is known, as a power of two.
const TABLE_BITS: u32 = 13;

/// Appends the compressed content, as long as there are not more than `limit` bytes then. `None` if there would be more; what has
/// been appended is then incomplete.
pub(super) fn append(content: &[u8], limit: usize, to: &mut Vec<u8>) -> Option<()> {
    let mut bits = BitWriter { bytes: to, waiting: 0, count: 0, limit };
    let mut positions = Positions::new();
    // The last block, with the fixed codes.
    bits.put(0b011, 3)?;
    let mut at = 0;
    while let Some(rest @ [byte, ..]) = content.get(at..) {
        let repetition = positions.replace(rest, at).and_then(|earlier| {
            let distance = at - earlier;
            let length = common_prefix(rest, content.get(earlier..)?);
            (distance <= WINDOW && length >= MIN_LENGTH).then_some((length, distance))
        });
        let Some((length, distance)) = repetition else {
            bits.put_symbol(u32::from(*byte))?;
            at += 1;
            continue;
        };
        bits.put_repetition(u32::try_from(length).ok()?, u32::try_from(distance).ok()?)?;
        for inside in at + 1..at + length {
            positions.replace(content.get(inside..)?, inside);
        }
        at += length;
    }
    bits.put_symbol(END_OF_BLOCK)?;
    bits.finish()
}

/// The symbol at the end of a block (§3.2.5).
const END_OF_BLOCK: u32 = 256;

/// How many bytes two texts have in common at their start, up to the longest repetition.
fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take(MAX_LENGTH).take_while(|(one, other)| one == other).count()
}

/// Where the last four bytes with the same hash are: the position after their first byte, or 0.
struct Positions(Vec<u32>);

impl Positions {
    fn new() -> Self {
        Self(vec![0; 1 << TABLE_BITS])
    }

    /// Remembers the position of a text, and returns the previous one that has the same hash.
    fn replace(&mut self, text: &[u8], at: usize) -> Option<usize> {
        // Multiplicative hashing, with 2³² divided by the golden ratio.
        let hash = u32::from_le_bytes(*text.first_chunk()?).wrapping_mul(0x9e37_79b1) >> (32 - TABLE_BITS);
        let position = self.0.get_mut(usize::try_from(hash).ok()?)?;
        let previous = std::mem::replace(position, u32::try_from(at + 1).ok()?);
        usize::try_from(previous).ok()?.checked_sub(1)
    }
}

/// Writes bits, the first one into the lowest bit of the first byte (§3.1.1).
struct BitWriter<'bytes> {
    bytes: &'bytes mut Vec<u8>,
    /// Bits that do not fill a byte yet, and their number.
    waiting: u64,
    count: u32,
    /// The maximum number of bytes.
    limit: usize,
}

impl BitWriter<'_> {
    /// Writes up to 32 bits, the lowest one first. `None` if there is no more room.
    fn put(&mut self, bits: u32, count: u32) -> Option<()> {
        self.waiting |= u64::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            let [byte, ..] = self.waiting.to_le_bytes();
            if self.bytes.len() >= self.limit {
                return None;
            }
            self.bytes.push(byte);
            self.waiting >>= 8;
            self.count -= 8;
        }
        Some(())
    }

    /// Writes a code, the highest bit first (§3.1.1).
    fn put_code(&mut self, code: u32, count: u32) -> Option<()> {
        self.put(code.reverse_bits() >> (32 - count), count)
    }

    /// Writes the fixed code of a byte, a length or the end (§3.2.6).
    fn put_symbol(&mut self, symbol: u32) -> Option<()> {
        match symbol {
            0..=143 => self.put_code(0b0011_0000 + symbol, 8),
            144..=255 => self.put_code(0b1_1001_0000 + (symbol - 144), 9),
            256..=279 => self.put_code(symbol - 256, 7),
            _ => self.put_code(0b1100_0000 + (symbol - 280), 8),
        }
    }

    /// Writes a repetition: a symbol for a range of lengths and the place in the range, then the same for the distance (§3.2.5).
    /// From a certain one on, there are four ranges of lengths for each power of two, and two ranges of distances.
    fn put_repetition(&mut self, length: u32, distance: u32) -> Option<()> {
        let length = length - 3;
        // The longest one has a symbol of its own.
        if length == 255 {
            self.put_symbol(285)?;
        } else {
            let extra = length.checked_ilog2().unwrap_or(0).saturating_sub(2);
            self.put_symbol(257 + 4 * extra + (length >> extra))?;
            self.put(length & ((1 << extra) - 1), extra)?;
        }
        let distance = distance - 1;
        let extra = distance.checked_ilog2().unwrap_or(0).saturating_sub(1);
        self.put_code(2 * extra + (distance >> extra), 5)?;
        self.put(distance & ((1 << extra) - 1), extra)
    }

    /// Fills the last byte.
    fn finish(&mut self) -> Option<()> {
        self.put(0, (8 - self.count) % 8)
    }
}
