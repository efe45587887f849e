//! What came of it, for docs/portability.md: the part of that page between two marks.

use std::{fmt::Write, fs};

use xtask::{
    adapters::Adapter,
    command::{Failed, failed},
    workspace,
};

use crate::{
    compose::storage,
    results::{Rate, Row},
};

/// Between these lines the page is written by the run.
const MARKS: [&str; 2] = ["<!-- written by cargo xtask portability --write -->\n", "<!-- to here -->\n"];

/// Tables: what passed, what the components are, and how fast each was.
///
/// # Errors
///
/// [`Failed`] if a component cannot be read.
pub(crate) fn markdown(rows: &[Row], rates: Option<&[Rate]>) -> Result<String, Failed> {
    let mut text = String::from("| host | component | what passed |\n|---|---|---|\n");
    for Row { host, component, what } in rows {
        let _ = writeln!(text, "| {host} | {component} | {what} |");
    }
    text.push_str("\n| component | bytes | imports beyond `wasi:http/proxy@0.2.12` |\n|---|--:|---|\n");
    for adapter in Adapter::ALL {
        let path = adapter.path();
        let bytes = fs::metadata(&path).map_err(|error| failed(&path, &error))?.len();
        let beyond = match storage(adapter) {
            [] => "nothing".to_owned(),
            imports => imports.iter().map(|import| format!("`{import}`")).collect::<Vec<_>>().join(", "),
        };
        let _ = writeln!(text, "| {} | {bytes} | {beyond} |", adapter.composed());
    }
    if let Some(rates) = rates {
        text.push_str("\n| host | component | orders are kept | creates/s | of so many | to our host's |\n");
        text.push_str("|---|---|---|--:|--:|--:|\n");
        for Rate { host, component, store, round } in rates {
            // Our host comes first, with each of the two.
            let ours = rates.iter().find(|ours| ours.store == store.compared_with());
            let ratio = ours.map_or(1.0, |ours| round.rate / ours.round.rate);
            let (store, rate, orders) = (store.name(), round.rate, round.orders);
            let _ = writeln!(text, "| {host} | {component} | {store} | {rate:.0} | {orders} | {ratio:.2} |");
        }
    }
    Ok(text)
}

/// Replaces that part of the page.
///
/// # Errors
///
/// [`Failed`] if the page has no such part, or cannot be written.
pub(crate) fn write(table: &str) -> Result<(), Failed> {
    let page = workspace().join("docs/portability.md");
    let text = fs::read_to_string(&page).map_err(|error| failed(&page, &error))?;
    let [from, to] = MARKS;
    let parts = text.split_once(from).and_then(|(head, rest)| Some((head, rest.split_once(to)?.1)));
    let (head, tail) = parts.ok_or_else(|| Failed(format!("{} has no place for it", page.display())))?;
    fs::write(&page, format!("{head}{from}\n{table}\n{to}{tail}")).map_err(|error| failed(&page, &error))
}
