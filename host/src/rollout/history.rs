//! What the host knows about modules and keeps across restarts: the file `history` of the module folder.
//!
//! ```text
//! { "version": 1,
//!   "serving":  "<SHA-256>" or null,    the module that served when this was written
//!   "previous": "<SHA-256>" or null,    the module that a rollback returns to
//!   "records":  [ … ] }                 a record per module, as in the admin API
//! ```
//!
//! A reader ignores members that it does not know, and leaves out records that it cannot read: a newer host may have written
//! them. So a change that only adds members or states keeps the version.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    module::{hash::ModuleHash, shelf::MAX_HISTORY_BYTES},
    rollout::roster::{MAX_RECORDS, Record},
};

/// The version of the file's format.
const VERSION: u32 = 1;

/// What the host knows about modules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The module that serves.
    pub serving: Option<ModuleHash>,
    /// The module that a rollback returns to; never the one that serves.
    pub previous: Option<ModuleHash>,
    /// The records of modules, the one with the latest event first. After the process was killed, or another version of the
    /// host has run, the state of a record may be out of date; then `serving` prevails.
    pub records: Vec<Record>,
}

/// A history that was read from a file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ParsedHistory {
    /// The history, without the records that cannot be read.
    pub(super) history: History,
    /// The number of records that cannot be read.
    pub(super) unreadable_records: usize,
}

/// The member that a file of every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// A file of version 1.
#[derive(Serialize, Deserialize)]
struct HistoryFile<R> {
    version: u32,
    serving: Option<ModuleHash>,
    previous: Option<ModuleHash>,
    records: R,
}

impl History {
    /// Parses a file.
    ///
    /// # Errors
    ///
    /// One line, without the file's name: it is not a history, or one of another version.
    pub(super) fn parse(file: &[u8]) -> Result<ParsedHistory, String> {
        let invalid = |error: serde_json::Error| format!("it is not a history of modules: {error}");
        let Versioned { version } = serde_json::from_slice(file).map_err(invalid)?;
        if version != VERSION {
            return Err(format!("it has version {version}, and this host reads version {VERSION}"));
        }
        let file: HistoryFile<Vec<Value>> = serde_json::from_slice(file).map_err(invalid)?;
        let mut records: Vec<_> =
            file.records.iter().filter_map(|record| Record::deserialize(record).ok()).collect();
        let unreadable_records = file.records.len() - records.len();
        records.truncate(MAX_RECORDS);
        let history = Self { serving: file.serving, previous: file.previous, records };
        Ok(ParsedHistory { history, unreadable_records })
    }

    /// Makes a file, with as many of the latest records as it has room for.
    ///
    /// # Errors
    ///
    /// One line, if it has no JSON form.
    pub(super) fn to_file(&self) -> Result<Vec<u8>, String> {
        let (serving, previous) = (self.serving, self.previous);
        let mut count = self.records.len().min(MAX_RECORDS);
        loop {
            let records = self.records.get(..count).unwrap_or_default();
            let file = serde_json::to_vec(&HistoryFile { version: VERSION, serving, previous, records });
            let file = file.map_err(|error| error.to_string())?;
            if count == 0 || u64::try_from(file.len()).is_ok_and(|size| size <= MAX_HISTORY_BYTES) {
                return Ok(file);
            }
            count /= 2;
        }
    }

    /// Corrects this history by the file `active`, which is written first and prevails: the process may have been killed
    /// before it wrote the history, or another version of the host may have written the one without the other.
    ///
    /// The module that served according to the history becomes the previous one. But if the active module is the one that a
    /// rollback returned to, then this was a rollback, after which there is no previous module. The previous module must be
    /// available.
    pub(super) fn correct(&mut self, active: Option<ModuleHash>, is_available: impl Fn(ModuleHash) -> bool) {
        if self.serving != active {
            let rolled_back = active.is_some() && self.previous == active;
            self.previous = if rolled_back { None } else { self.serving };
            self.serving = active;
        }
        self.previous = self.previous.filter(|previous| Some(*previous) != active && is_available(*previous));
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde_json::json;

    use super::*;

    fn hash(name: &str) -> ModuleHash {
        ModuleHash::digest(name.as_bytes())
    }

    /// A record as version 1 of the file has it: every later version of the host must read it.
    fn record_of_version_1(name: &str, why: &str) -> Value {
        let numbers = json!({
            "requests": 12, "failures": 12, "server_errors": 0, "traps": 12, "timeouts": 0, "bad_answers": 0,
            "p50_us": 543, "p99_us": null
        });
        json!({
            "module": hash(name), "size": 12, "state": "rolled-back", "since": "2026-01-02T03:04:05.678Z", "why": why,
            "window": "30s", "trial": { "elapsed_ms": 1000, "module": numbers, "other": numbers }
        })
    }

    fn file_of_version_1() -> Value {
        json!({
            "version": 1, "serving": hash("one"), "previous": hash("two"),
            "records": [record_of_version_1("three", "it trapped"), record_of_version_1("one", "it was slow")]
        })
    }

    fn record(name: &str, why: &str) -> Record {
        Record::deserialize(record_of_version_1(name, why)).unwrap()
    }

    fn parse(file: &Value) -> Result<ParsedHistory, String> {
        History::parse(file.to_string().as_bytes())
    }

    #[test]
    fn a_file_of_version_1_is_read() {
        let records = vec![record("three", "it trapped"), record("one", "it was slow")];
        let history = History { serving: Some(hash("one")), previous: Some(hash("two")), records };
        assert_eq!(parse(&file_of_version_1()), Ok(ParsedHistory { history, unreadable_records: 0 }));
    }

    #[test]
    fn what_a_newer_host_added_is_ignored() {
        let expected = parse(&file_of_version_1()).unwrap().history;
        let mut file = file_of_version_1();
        file["fleet"] = json!({ "copies": 3 });
        file["records"][0]["unheard_of"] = json!([1, 2]);
        let unknown_state =
            json!({ "module": hash("four"), "state": "unheard-of", "since": "", "size": null });
        file["records"].as_array_mut().unwrap().extend([unknown_state, json!("unheard of")]);
        assert_eq!(parse(&file), Ok(ParsedHistory { history: expected, unreadable_records: 2 }));
    }

    #[test]
    fn a_file_of_another_version_is_rejected() {
        for version in [0, 2] {
            let error = parse(&json!({ "version": version, "modules": {} })).unwrap_err();
            assert_eq!(error, format!("it has version {version}, and this host reads version 1"));
        }
    }

    #[test]
    fn a_damaged_file_is_rejected() {
        let file = file_of_version_1().to_string();
        // Every beginning of a file is damaged.
        for end in 0..file.len() {
            let error = History::parse(&file.as_bytes()[..end]).unwrap_err();
            assert!(
                error.starts_with("it is not a history of modules: ") && !error.contains('\n'),
                "{error}"
            );
        }
        for (member, value) in [
            ("version", json!("1")),
            ("version", json!(-1)),
            ("serving", json!("one")),
            ("previous", json!(1)),
            ("records", json!({})),
            ("records", Value::Null),
        ] {
            let mut damaged = file_of_version_1();
            damaged[member] = value;
            parse(&damaged).unwrap_err();
        }
        for other in [json!([]), json!({}), json!(null)] {
            parse(&other).unwrap_err();
        }
    }

    #[test]
    fn the_oldest_records_are_left_out_when_there_is_no_room() {
        let named = |index: usize| record(&index.to_string(), "");
        let history = History { records: (0..MAX_RECORDS + 1).map(named).collect(), ..History::default() };
        let ParsedHistory { history: parsed, .. } = History::parse(&history.to_file().unwrap()).unwrap();
        assert_eq!(parsed.records, history.records[..MAX_RECORDS]);

        let long = "x".repeat(usize::try_from(MAX_HISTORY_BYTES).unwrap() / 5);
        let records = (0..8).map(|index| record(&index.to_string(), &long)).collect();
        let history = History { serving: Some(hash("one")), records, ..History::default() };
        let file = history.to_file().unwrap();
        assert!(u64::try_from(file.len()).unwrap() <= MAX_HISTORY_BYTES);
        let ParsedHistory { history: parsed, .. } = History::parse(&file).unwrap();
        assert_eq!((parsed.serving, &parsed.records[..]), (history.serving, &history.records[..4]));
    }

    /// Between two files, the process is killed.
    #[test]
    fn the_active_module_serves_and_the_one_before_it_becomes_the_previous_one() {
        let [one, two, three] = ["one", "two", "three"].map(|name| Some(hash(name)));
        for (what, serving, previous, active, expected) in [
            ("nothing is interrupted", one, two, one, two),
            ("the promotion of a new module", one, two, three, one),
            ("the first promotion", one, None, two, one),
            ("a rollback", one, two, two, None),
            ("there is no history", None, None, one, None),
            ("an operator removed the file `active`", one, two, None, one),
            ("the folder is new", None, None, None, None),
            ("the history names one module twice", one, one, one, None),
        ] {
            let mut history = History { serving, previous, ..History::default() };
            history.correct(active, |_| true);
            assert_eq!((history.serving, history.previous), (active, expected), "{what}");
            let corrected = history.clone();
            history.correct(active, |_| true);
            assert_eq!(history, corrected, "{what}");
        }
    }

    #[test]
    fn a_previous_module_that_was_removed_is_forgotten() {
        let [one, two, three] = ["one", "two", "three"].map(hash);
        for active in [one, three] {
            let mut history = History { serving: Some(one), previous: Some(two), ..History::default() };
            history.correct(Some(active), |module| module == three);
            assert_eq!((history.serving, history.previous), (Some(active), None));
        }
    }

    proptest! {
        #[test]
        fn a_history_survives_its_file(
            serving in any::<Option<String>>(),
            previous in any::<Option<String>>(),
            records in vec(any::<(String, String)>(), 0..MAX_RECORDS),
        ) {
            let [serving, previous] = [serving, previous].map(|name| name.map(|name| hash(&name)));
            let records = records.iter().map(|(name, why)| record(name, why)).collect();
            let history = History { serving, previous, records };
            let parsed = History::parse(&history.to_file().unwrap());
            prop_assert_eq!(parsed, Ok(ParsedHistory { history, unreadable_records: 0 }));
        }

        #[test]
        fn a_damaged_byte_is_rejected_or_changes_text_only(index in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut file = file_of_version_1().to_string().into_bytes();
            let index = index.index(file.len());
            file[index] = byte;
            if let Ok(parsed) = History::parse(&file) {
                prop_assert!(parsed.history.records.len() + parsed.unreadable_records == 2);
            }
        }
    }
}
