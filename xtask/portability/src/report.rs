//! The results, and the part of docs/portability.md that contains them.

use std::{fmt::Write, fs};

use xtask::{
    adapters::Adapter,
    command::{TaskError, file_error},
    workspace,
};

use crate::{compose::storage, growth::Size, writers::Outcome};

/// The run replaces the part of the page between these lines.
const MARKS: [&str; 2] = ["<!-- written by cargo xtask portability --write -->\n", "<!-- to here -->\n"];

/// What passed with one component on one host.
pub(crate) struct TestResult {
    pub(crate) host: &'static str,
    pub(crate) component: &'static str,
    pub(crate) passed: &'static str,
}

/// Where orders are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// A response of 201 means that the order is on disk.
    Disk,
    Memory,
    /// In the instance of the request: the next request does not find the order.
    Nowhere,
}

/// How fast one host creates orders.
pub(crate) struct Rate {
    pub(crate) host: &'static str,
    pub(crate) component: &'static str,
    pub(crate) storage: Storage,
    /// Creates per second.
    pub(crate) rate: f64,
    /// Orders in the store at the end.
    pub(crate) orders: u32,
}

/// The tables: what passed, the components, what the writers saw, how a store grows, and how fast each host was.
pub(crate) fn markdown(
    results: &[TestResult],
    outcomes: &[Outcome],
    sizes: &[Size],
    rates: &[Rate],
) -> Result<String, TaskError> {
    let mut text = String::from("| host | component | what passed |\n|---|---|---|\n");
    for TestResult { host, component, passed } in results {
        let _ = writeln!(text, "| {host} | {component} | {passed} |");
    }
    text.push_str("\n| component | bytes | imports beyond `wasi:http/proxy@0.2.12` |\n|---|--:|---|\n");
    for adapter in Adapter::ALL {
        let path = adapter.path();
        let bytes = fs::metadata(&path).map_err(|error| file_error(&path, &error))?.len();
        let imports: Vec<_> = storage(adapter).iter().map(|import| format!("`{import}`")).collect();
        let imports = if imports.is_empty() { "nothing".to_owned() } else { imports.join(", ") };
        let _ = writeln!(text, "| {} | {bytes} | {imports} |", adapter.composed());
    }
    text.push_str(
        "\n| bucket | component | acknowledged | missing | doubled | refused |\n|---|---|--:|--:|--:|--:|\n",
    );
    for Outcome { mode, component, acknowledged, missing, doubled, refused } in outcomes {
        let _ =
            writeln!(text, "| {mode} | {component} | {acknowledged} | {missing} | {doubled} | {refused} |");
    }
    if !sizes.is_empty() {
        text.push_str("\n| orders in orders-spin.wasm | creates/s | gets/s | lists/s | bucket, MiB | peak memory of the host, MiB |\n");
        text.push_str("|--:|--:|--:|--:|--:|--:|\n");
    }
    for Size { orders, creates, gets, lists, bucket, peak } in sizes {
        let (bucket, peak) = (bucket >> 20, peak >> 10);
        let _ = writeln!(text, "| {orders} | {creates:.0} | {gets:.0} | {lists:.0} | {bucket} | {peak} |");
    }
    if !rates.is_empty() {
        text.push_str("\n| host | component | orders are kept | creates/s | of so many | to our host's |\n");
        text.push_str("|---|---|---|--:|--:|--:|\n");
    }
    for Rate { host, component, storage, rate, orders } in rates {
        let (name, compared_with) = match storage {
            Storage::Disk => ("on the disk", Storage::Disk),
            Storage::Memory => ("in memory", Storage::Memory),
            Storage::Nowhere => ("nowhere", Storage::Memory),
        };
        // The first rate for each storage is our host's.
        let ours = rates.iter().find(|ours| ours.storage == compared_with);
        let ratio = ours.map_or(1.0, |ours| rate / ours.rate);
        let _ = writeln!(text, "| {host} | {component} | {name} | {rate:.0} | {orders} | {ratio:.2} |");
    }
    Ok(text)
}

/// Replaces that part of the page.
pub(crate) fn write(tables: &str) -> Result<(), TaskError> {
    let page = workspace().join("docs/portability.md");
    let text = fs::read_to_string(&page).map_err(|error| file_error(&page, &error))?;
    let [from, to] = MARKS;
    let parts = text.split_once(from).and_then(|(head, rest)| Some((head, rest.split_once(to)?.1)));
    let (head, tail) =
        parts.ok_or_else(|| TaskError(format!("{}: the marks are missing", page.display())))?;
    fs::write(&page, format!("{head}{from}\n{tables}\n{to}{tail}")).map_err(|error| file_error(&page, &error))
}
