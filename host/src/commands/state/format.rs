//! What stands in a file of a store's state: JSON lines, a head, one for each entry, and an end.
//!
//! ```text
//! {"format":"orders-host state","version":1,"host":"0.1.0","store":"sqlite","exported":"2026-11-22T…Z","entries":2}
//! {"key":"a","value":"text"}
//! {"key":"b","base64":"/w=="}
//! {"entries":2,"sha256":"…"}
//! ```
//!
//! Keys rise, and every line ends with a line feed. The checksum is over, for each entry: the length of the key, the key,
//! the length of the value, the value; lengths in 4 bytes, the most significant first. The head is not part of it, so that
//! equal states have equal checksums.

use std::{
    fmt::Write as _,
    io::{self, BufRead, Read as _, Write},
    str,
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    config::StoreLocation,
    store::{Key, MAX_KEY_BYTES, MAX_VALUE_BYTES, Value},
};

const FORMAT: &str = "orders-host state";
const VERSION: u32 = 1;

/// The longest line: JSON takes at most six bytes (`\u0000`) for one.
const MAX_LINE_BYTES: usize = 6 * (MAX_KEY_BYTES + MAX_VALUE_BYTES) + 64;

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    format: String,
    version: u32,
    /// The version of the program that wrote it.
    host: String,
    /// The kind of the store; its address may hold a password.
    store: String,
    /// When, RFC 3339.
    exported: String,
    /// How many entries there are, if that was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entries: Option<u64>,
}

impl Head {
    pub(super) fn new(location: &StoreLocation, entries: Option<u64>) -> Self {
        let store = match location {
            StoreLocation::Memory => "memory",
            StoreLocation::Sqlite(_) => "sqlite",
            StoreLocation::Postgres(_) => "postgres",
        };
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            host: env!("CARGO_PKG_VERSION").to_owned(),
            store: store.to_owned(),
            exported: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            entries,
        }
    }
}

/// What all lines of entries come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) entries: u64,
    /// 64 hexadecimal digits.
    pub(super) sha256: String,
}

/// Counts entries, and makes their checksum.
#[derive(Clone, Default)]
pub(super) struct Sum {
    entries: u64,
    digest: Sha256,
}

impl Sum {
    pub(super) fn add(&mut self, key: &Key, value: &Value) {
        self.entries = self.entries.saturating_add(1);
        for part in [key.as_str().as_bytes(), value.as_bytes()] {
            // Lossless: both have a bound far below.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            self.digest.update(length.to_be_bytes());
            self.digest.update(part);
        }
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) fn total(self) -> Total {
        let mut sha256 = String::new();
        for byte in self.digest.finalize() {
            // Writing to a String does not fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        Total { entries: self.entries, sha256 }
    }
}

/// Any line but the first, as it is read and written.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// Writes the first line.
pub(super) fn write_head(output: &mut impl Write, head: &Head) -> io::Result<()> {
    write_line(output, head)
}

/// Writes the line of an entry.
pub(super) fn write_entry(output: &mut impl Write, key: Key, value: Value) -> io::Result<()> {
    let mut line = Line { key: Some(key.into_string()), ..Line::default() };
    match String::from_utf8(value.into_bytes()) {
        Ok(text) => line.value = Some(text),
        Err(error) => line.base64 = Some(STANDARD.encode(error.as_bytes())),
    }
    write_line(output, &line)
}

/// Writes the last line.
pub(super) fn write_end(output: &mut impl Write, total: &Total) -> io::Result<()> {
    let (entries, sha256) = (Some(total.entries), Some(total.sha256.clone()));
    write_line(output, &Line { entries, sha256, ..Line::default() })
}

fn write_line(output: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, line)?;
    output.write_all(b"\n")
}

/// Reads such a file from its beginning to its end.
pub(super) struct Reader<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    head: Head,
    sum: Sum,
    last: Option<Key>,
}

/// What comes next in a file.
pub(super) enum Item {
    Entry(Key, Value),
    /// There is nothing more, and everything was there.
    End(Total),
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    ///
    /// # Errors
    ///
    /// One line, as for [`Self::next`].
    pub(super) fn new(input: R) -> Result<Self, String> {
        let mut line = Vec::new();
        let mut input = input;
        read_line(&mut input, &mut line, 1)?;
        let strange = "it is no state that `orders-host state export` has written";
        let head: Head = serde_json::from_slice(&line).map_err(|_| strange.to_owned())?;
        if head.format != FORMAT {
            return Err(strange.to_owned());
        }
        if head.version != VERSION {
            return Err(format!(
                "it has version {} of the format, this program knows version {VERSION}: run one that knows it",
                head.version
            ));
        }
        Ok(Self { input, line, number: 1, head, sum: Sum::default(), last: None })
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
        self.number = self.number.saturating_add(1);
        read_line(&mut self.input, &mut self.line, self.number)?;
        let damaged = |what: &str| format!("it is damaged in line {}: {what}", self.number);
        let line: Line = serde_json::from_slice(&self.line)
            .map_err(|error| damaged(&format!("it is no entry and no end ({error})")))?;
        let value = match line {
            Line { key: None, value: None, base64: None, entries: Some(entries), sha256: Some(sha256) } => {
                return self.end(&Total { entries, sha256 });
            }
            Line { key: Some(_), value: Some(text), base64: None, entries: None, sha256: None } => {
                text.into_bytes()
            }
            Line { key: Some(_), value: None, base64: Some(text), entries: None, sha256: None } => {
                STANDARD.decode(text).map_err(|error| damaged(&format!("its base64 is wrong ({error})")))?
            }
            _ => return Err(damaged("it is no entry and no end")),
        };
        let key = Key::try_from(line.key.unwrap_or_default()).map_err(|error| damaged(&error.to_string()))?;
        let value = Value::try_from(value).map_err(|error| damaged(&error.to_string()))?;
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return Err(damaged("its key does not come after the one before"));
        }
        self.sum.add(&key, &value);
        self.last = Some(key.clone());
        Ok(Item::Entry(key, value))
    }

    fn end(&mut self, said: &Total) -> Result<Item, String> {
        let total = std::mem::take(&mut self.sum).total();
        let announced = self.head.entries.unwrap_or(said.entries);
        if said.entries != total.entries || announced != total.entries {
            return Err(format!(
                "it is damaged: it has {} entries, its first line speaks of {announced} and its last of {}",
                total.entries, said.entries
            ));
        }
        if *said != total {
            return Err("it is damaged: its checksum is not that of its entries".to_owned());
        }
        match self.input.fill_buf() {
            Ok([]) => Ok(Item::End(total)),
            Ok(_) => Err("it is damaged: something follows its last line".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Reads a line, without what ends it.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, number: u64) -> Result<(), String> {
    line.clear();
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
    input.take(limit).read_until(b'\n', line).map_err(|error| error.to_string())?;
    match line.pop() {
        Some(b'\n') => Ok(()),
        None => Err(format!("it is cut short: line {number} and its last line are missing")),
        Some(_) if line.len() + 1 == MAX_LINE_BYTES => {
            Err(format!("it is damaged in line {number}: it is longer than any entry"))
        }
        Some(_) => Err(format!("it is cut short in line {number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entries = Vec<(String, Vec<u8>)>;

    fn read(text: &[u8]) -> Result<(Entries, Total), String> {
        let mut reader = Reader::new(text)?;
        let mut entries = Vec::new();
        loop {
            match reader.next()? {
                Item::Entry(key, value) => entries.push((key.into_string(), value.into_bytes())),
                Item::End(total) => return Ok((entries, total)),
            }
        }
    }

    fn written(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut sum = Sum::default();
        let count = u64::try_from(entries.len()).ok();
        write_head(&mut file, &Head::new(&StoreLocation::Sqlite("x".into()), count)).unwrap();
        for (key, value) in entries {
            let (key, value) =
                (Key::try_from((*key).to_owned()).unwrap(), Value::try_from(value.to_vec()).unwrap());
            sum.add(&key, &value);
            write_entry(&mut file, key, value).unwrap();
        }
        write_end(&mut file, &sum.total()).unwrap();
        file
    }

    const ENTRIES: [(&str, &[u8]); 4] =
        [("\0", b""), ("a", b"{\"text\":\"\xc3\xa9\"}"), ("b\n", b"\xff\x00"), ("\u{10ffff}", b"\0")];

    #[test]
    fn what_is_written_is_read() {
        let file = written(&ENTRIES);
        let (entries, total) = read(&file).unwrap();
        let expected = ENTRIES.map(|(key, value)| (key.to_owned(), value.to_vec()));
        assert_eq!(entries, expected);
        assert_eq!(total.entries, 4);
        let text = String::from_utf8(file).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[2], r#"{"key":"a","value":"{\"text\":\"é\"}"}"#);
        assert_eq!(lines[3], r#"{"key":"b\n","base64":"/wA="}"#);
        assert_eq!(lines.len(), 6);
        // Made with `printf '\0\0\0\1a\0\0\0\1b' | sha256sum`.
        assert_eq!(
            read(&written(&[("a", b"b")])).unwrap().1.sha256,
            "16275ef0f5d0eb9dd9e0a53277549fda5c886358a6872df23c797b13e11455bc"
        );
    }

    /// Every byte, flipped or the last one that is left. What the head says besides may change unnoticed.
    #[test]
    fn damage_is_found_wherever_it_is() {
        let file = written(&ENTRIES);
        let head = file.iter().position(|byte| *byte == b'\n').unwrap();
        for place in 0..file.len() {
            assert!(read(&file[..place]).is_err(), "cut at {place}");
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[place] ^= 1 << bit;
                match read(&damaged) {
                    Err(_) => {}
                    Ok((entries, total)) => {
                        assert!(place < head, "bit {bit} at {place}");
                        assert_eq!((entries, total), read(&file).unwrap());
                    }
                }
            }
        }
        for (text, says) in
            [(&b""[..], "line 1"), (b"{}\n", "no state"), (b"SQLite format 3\0\n", "no state")]
        {
            assert!(read(text).unwrap_err().contains(says), "{text:?}");
        }
    }

    #[test]
    fn lines_that_belong_elsewhere_are_refused() {
        let file = String::from_utf8(written(&ENTRIES)).unwrap();
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
        for (text, says) in [
            (swapped(2, 3), "in line 4: its key does not come after"),
            (lines[..3].concat() + &lines[2] + &lines[3..].concat(), "does not come after"),
            (without(0), "no state"),
            (without(2), "3 entries"),
            (without(5), "line 6 and its last line are missing"),
            (file.clone() + "\n", "something follows"),
            (file.clone() + &lines[1], "something follows"),
            (file.replace("\"version\":1", "\"version\":2"), "version 2 of the format"),
            (file.replace("\"key\":\"a\"", "\"key\":\"a\",\"more\":1"), "in line 3"),
            (file.replace("\"key\":\"a\"", "\"key\":\"\""), "the key is empty"),
            (file.replace("/wA=", "/wB="), "base64"),
            (lines[0].clone() + &"x".repeat(MAX_LINE_BYTES + 1), "longer than any entry"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{error} does not say {says}");
        }
    }

    #[test]
    fn the_largest_entry_fits_in_a_line() {
        let (key, value) = ("\u{1}".repeat(MAX_KEY_BYTES), vec![1; MAX_VALUE_BYTES]);
        let (entries, _) = read(&written(&[(&key, &value)])).unwrap();
        assert!(entries == [(key, value)]);
    }
}
