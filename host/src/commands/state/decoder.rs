//! Reads a state file line by line, and finds damage wherever it is.

use std::io::{BufRead, Read as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    checksum::{Checksum, Total},
    format::{FORMAT, Head, Line, VERSION},
};
use crate::store::{Key, MAX_KEY_BYTES, MAX_VALUE_BYTES, Value};

/// Maximum length of a line: JSON needs at most six bytes (`\u0000`) for one byte of a key or value.
const MAX_LINE_BYTES: usize = 6 * (MAX_KEY_BYTES + MAX_VALUE_BYTES) + 64;

/// Reads a state file from its first line to its last.
pub(super) struct Decoder<R> {
    input: R,
    line: Vec<u8>,
    line_number: u64,
    head: Head,
    checksum: Checksum,
    last_key: Option<Key>,
}

/// The next part of a file.
pub(super) enum Item {
    Entry(Key, Value),
    /// The end: the file is complete and undamaged.
    End(Total),
}

impl<R: BufRead> Decoder<R> {
    /// Reads the first line.
    ///
    /// # Errors
    ///
    /// One line, if this is not a state file of a version that this program reads.
    pub(super) fn new(input: R) -> Result<Self, String> {
        let mut line = Vec::new();
        let mut input = input;
        read_line(&mut input, &mut line, 1)?;
        let foreign = "it was not written by `orders-host state export`";
        let head: Head = serde_json::from_slice(&line).map_err(|_| foreign.to_owned())?;
        if head.format != FORMAT {
            return Err(foreign.to_owned());
        }
        if head.version != VERSION {
            return Err(format!(
                "it has version {} of the format, but this program reads only version {VERSION}: use a matching program",
                head.version
            ));
        }
        Ok(Self { input, line, line_number: 1, head, checksum: Checksum::default(), last_key: None })
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// The next entry, or the end.
    ///
    /// # Errors
    ///
    /// One line that says where the file is damaged.
    pub(super) fn next(&mut self) -> Result<Item, String> {
        self.line_number = self.line_number.saturating_add(1);
        read_line(&mut self.input, &mut self.line, self.line_number)?;
        let damaged = |what: &str| format!("it is damaged in line {}: {what}", self.line_number);
        let line: Line = serde_json::from_slice(&self.line)
            .map_err(|error| damaged(&format!("it is neither an entry nor the last line ({error})")))?;
        let value = match line {
            Line { key: None, value: None, base64: None, entries: Some(entries), sha256: Some(sha256) } => {
                return self.end(&Total { entries, sha256 });
            }
            Line { key: Some(_), value: Some(text), base64: None, entries: None, sha256: None } => {
                text.into_bytes()
            }
            Line { key: Some(_), value: None, base64: Some(text), entries: None, sha256: None } => {
                STANDARD.decode(text).map_err(|error| damaged(&format!("its base64 is invalid ({error})")))?
            }
            _ => return Err(damaged("it is neither an entry nor the last line")),
        };
        let key = Key::try_from(line.key.unwrap_or_default()).map_err(|error| damaged(&error.to_string()))?;
        let value = Value::try_from(value).map_err(|error| damaged(&error.to_string()))?;
        if self.last_key.as_ref().is_some_and(|last| *last >= key) {
            return Err(damaged("its key does not come after the previous key"));
        }
        self.checksum.add(&key, &value);
        self.last_key = Some(key.clone());
        Ok(Item::Entry(key, value))
    }

    fn end(&mut self, stated: &Total) -> Result<Item, String> {
        let total = std::mem::take(&mut self.checksum).total();
        let announced = self.head.entries.unwrap_or(stated.entries);
        if stated.entries != total.entries || announced != total.entries {
            return Err(format!(
                "it is damaged: it has {} entries, its first line announces {announced} and its last line {}",
                total.entries, stated.entries
            ));
        }
        if *stated != total {
            return Err("it is damaged: its checksum does not match its entries".to_owned());
        }
        match self.input.fill_buf() {
            Ok([]) => Ok(Item::End(total)),
            Ok(_) => Err("it is damaged: there is data after its last line".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Reads a line without its line feed.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, number: u64) -> Result<(), String> {
    line.clear();
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
    input.take(limit).read_until(b'\n', line).map_err(|error| error.to_string())?;
    match line.pop() {
        Some(b'\n') => Ok(()),
        None => Err(format!("it is truncated: line {number} and its last line are missing")),
        Some(_) if line.len() + 1 == MAX_LINE_BYTES => {
            Err(format!("it is damaged in line {number}: the line is longer than any entry"))
        }
        Some(_) => Err(format!("it is truncated in line {number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::format::{write_end, write_entry, write_head},
        *,
    };
    use crate::config::StoreLocation;

    type Entries = Vec<(String, Vec<u8>)>;

    fn decode(text: &[u8]) -> Result<(Entries, Total), String> {
        let mut decoder = Decoder::new(text)?;
        let mut entries = Vec::new();
        loop {
            match decoder.next()? {
                Item::Entry(key, value) => entries.push((key.into_string(), value.into_bytes())),
                Item::End(total) => return Ok((entries, total)),
            }
        }
    }

    fn encode(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut checksum = Checksum::default();
        let count = u64::try_from(entries.len()).ok();
        write_head(&mut file, &Head::new(&StoreLocation::Sqlite("x".into()), count)).unwrap();
        for (key, value) in entries {
            let (key, value) =
                (Key::try_from((*key).to_owned()).unwrap(), Value::try_from(value.to_vec()).unwrap());
            checksum.add(&key, &value);
            write_entry(&mut file, key, value).unwrap();
        }
        write_end(&mut file, &checksum.total()).unwrap();
        file
    }

    const ENTRIES: [(&str, &[u8]); 4] =
        [("\0", b""), ("a", b"{\"text\":\"\xc3\xa9\"}"), ("b\n", b"\xff\x00"), ("\u{10ffff}", b"\0")];

    #[test]
    fn a_written_state_is_read_back() {
        let file = encode(&ENTRIES);
        let (entries, total) = decode(&file).unwrap();
        let expected = ENTRIES.map(|(key, value)| (key.to_owned(), value.to_vec()));
        assert_eq!(entries, expected);
        assert_eq!(total.entries, 4);
        let text = String::from_utf8(file).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[2], r#"{"key":"a","value":"{\"text\":\"é\"}"}"#);
        assert_eq!(lines[3], r#"{"key":"b\n","base64":"/wA="}"#);
        assert_eq!(lines.len(), 6);
        // From `printf '\0\0\0\1a\0\0\0\1b' | sha256sum`.
        assert_eq!(
            decode(&encode(&[("a", b"b")])).unwrap().1.sha256,
            "16275ef0f5d0eb9dd9e0a53277549fda5c886358a6872df23c797b13e11455bc"
        );
    }

    /// Every truncation, and every flipped bit. Only the other members of the head may change unnoticed.
    #[test]
    fn damage_is_detected_anywhere_in_a_file() {
        let file = encode(&ENTRIES);
        let head = file.iter().position(|byte| *byte == b'\n').unwrap();
        for place in 0..file.len() {
            assert!(decode(&file[..place]).is_err(), "cut at {place}");
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[place] ^= 1 << bit;
                match decode(&damaged) {
                    Err(_) => {}
                    Ok((entries, total)) => {
                        assert!(place < head, "bit {bit} at {place}");
                        assert_eq!((entries, total), decode(&file).unwrap());
                    }
                }
            }
        }
        for (text, reason) in
            [(&b""[..], "line 1"), (b"{}\n", "not written by"), (b"SQLite format 3\0\n", "not written by")]
        {
            assert!(decode(text).unwrap_err().contains(reason), "{text:?}");
        }
    }

    #[test]
    fn misplaced_lines_are_rejected() {
        let file = String::from_utf8(encode(&ENTRIES)).unwrap();
        let lines: Vec<_> = file.lines().map(|line| format!("{line}\n")).collect();
        let swapped = |left: usize, right: usize| {
            let mut lines = lines.clone();
            lines.swap(left, right);
            lines.concat()
        };
        let without = |place: usize| {
            let mut lines = lines.clone();
            lines.remove(place);
            lines.concat()
        };
        for (text, reason) in [
            (swapped(2, 3), "in line 4: its key does not come after"),
            (lines[..3].concat() + &lines[2] + &lines[3..].concat(), "does not come after"),
            (without(0), "not written by"),
            (without(2), "3 entries"),
            (without(5), "line 6 and its last line are missing"),
            (file.clone() + "\n", "data after its last line"),
            (file.clone() + &lines[1], "data after its last line"),
            (file.replace("\"version\":1", "\"version\":2"), "version 2 of the format"),
            (file.replace("\"key\":\"a\"", "\"key\":\"a\",\"more\":1"), "in line 3"),
            (file.replace("\"key\":\"a\"", "\"key\":\"\""), "the key is empty"),
            (file.replace("/wA=", "/wB="), "base64"),
            (lines[0].clone() + &"x".repeat(MAX_LINE_BYTES + 1), "longer than any entry"),
        ] {
            let error = decode(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{error} does not say {reason}");
        }
    }

    #[test]
    fn the_largest_entry_fits_in_a_line() {
        let (key, value) = ("\u{1}".repeat(MAX_KEY_BYTES), vec![1; MAX_VALUE_BYTES]);
        let (entries, _) = decode(&encode(&[(&key, &value)])).unwrap();
        assert!(entries == [(key, value)]);
    }
}
