//! Every log line of the host carries a stable event name, and `docs/log-events.md` lists them all.

use std::{collections::BTreeSet, fs};

use crate::{repository, sources};

/// The events that some code logs: level and name. Lines with their own target (`access`, `guest`) have none.
///
/// # Panics
///
/// If a line has neither a target nor an event as its first field.
fn events(file: &str, source: &str) -> BTreeSet<(String, String)> {
    let mut events = BTreeSet::new();
    for call in source.split("tracing::").skip(1) {
        let Some((level, arguments)) = call.split_once("!(") else { continue };
        if !["error", "warn", "info", "debug", "trace"].contains(&level) {
            continue;
        }
        let first = arguments.trim_start();
        if first.starts_with("target: ") {
            continue;
        }
        let name = first.strip_prefix("event = \"").and_then(|rest| rest.split('"').next());
        let name = name
            .unwrap_or_else(|| panic!("{file}: the first field of a log line is `event`, not {first:.40}"));
        events.insert((level.to_owned(), name.to_owned()));
    }
    events
}

#[test]
fn the_page_of_log_events_lists_those_of_the_program() {
    let logged: BTreeSet<_> = sources().iter().flat_map(|(file, source)| events(file, source)).collect();
    let page = fs::read_to_string(repository().join("docs/log-events.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: BTreeSet<_> = rows
        .filter_map(|row| {
            let mut cells = row.split(" | ");
            let name = cells.next()?.trim_end_matches('`').to_owned();
            Some((cells.next()?.to_owned(), name))
        })
        .collect();
    assert_eq!(listed, logged, "docs/log-events.md (left) and the sources (right) differ");
}

#[test]
fn events_are_named_by_subject_and_what_happened() {
    for (file, source) in sources() {
        for (_, name) in events(&file, &source) {
            let words = name.chars().all(|letter| letter.is_ascii_lowercase() || matches!(letter, '_' | '.'));
            assert!(words && name.matches('.').count() == 1, "{file}: {name}");
        }
    }
}

#[test]
#[should_panic(expected = "the first field of a log line is `event`")]
fn a_line_without_an_event_is_found() {
    events("x.rs", "fn f() { tracing::info!(port, \"listening\") }");
}
