//! The format of a state file: JSON lines, namely a head, one line for each entry, and an end.
//!
//! ```text
//! {"format":"orders-host state","version":1,"host":"0.1.0","store":"sqlite","exported":"2026-11-22T…Z","entries":2}
//! {"key":"a","value":"text"}
//! {"key":"b","base64":"/w=="}
//! {"entries":2,"sha256":"…"}
//! ```
//!
//! Keys are in ascending order, and every line ends with a line feed. The head is not part of the checksum
//! ([`checksum`](super::checksum)), so that equal states have equal checksums.

use std::{
    io::{self, Write},
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::checksum::Total;
use crate::{
    config::StoreLocation,
    store::{Key, Value},
};

pub(super) const FORMAT: &str = "orders-host state";
pub(super) const VERSION: u32 = 1;

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) format: String,
    pub(super) version: u32,
    /// The version of the program that wrote the file.
    host: String,
    /// The kind of the store; its URL may contain a password.
    store: String,
    /// When the export began (RFC 3339).
    exported: String,
    /// The number of entries, if it was known.
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

/// Any line after the first: an entry, or the end.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
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
