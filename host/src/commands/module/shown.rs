//! What is known of modules, as a table and as a page.

use std::io::IsTerminal;

use super::text;
use crate::{
    admin::{Overview, View},
    rollout::{events::Numbers, roster::State},
};

/// All modules, one a line; no wider than the terminal, if this is one.
pub(super) fn table(overview: &Overview) -> String {
    let width = std::io::stdout().is_terminal().then(|| usize::from(console::Term::stdout().size().1));
    let mut lines =
        vec![format!("{:<11}  {:<12}  {:>9}  {:<19}  WHY", "STATE", "MODULE", "SIZE", "SINCE (UTC)")];
    for view in &overview.modules {
        let record = &view.record;
        let size = record.size.map(text::size).unwrap_or_default();
        let why = record.why.as_deref().map(text::plain).unwrap_or_default();
        let line = format!(
            "{:<11}  {}  {size:>9}  {:<19}  {why}",
            text::state(record.state),
            record.module.short(),
            text::moment(&record.since)
        );
        lines.push(line.trim_end().to_owned());
    }
    let fit = |line: String| width.map_or_else(|| line.clone(), |width| text::shortened(&line, width));
    lines.into_iter().map(fit).collect::<Vec<_>>().join("\n")
}

/// What serves, what is on trial, what served before.
pub(super) fn overview(overview: &Overview) -> String {
    let checking = overview.modules.iter().find(|view| view.record.state == State::Checking);
    let lines = [
        Some(("serving", &overview.serving)),
        overview.candidate.as_ref().map(|view| ("on trial", view)),
        checking.map(|view| ("checking", view)),
        overview.previous.as_ref().map(|view| ("previous", view)),
    ];
    let lines = lines.into_iter().flatten().map(|(role, view)| {
        let done = view.done.as_ref().map(|done| format!("  {}", text::numbers(done))).unwrap_or_default();
        let (name, since) = (view.record.module.short(), text::moment(&view.record.since));
        format!("{role:<8}  {name}  since {since} UTC{done}")
    });
    let lasting = (!overview.durable)
        .then(|| "What was pushed serves until the process ends: there is no --module-dir.".to_owned());
    lines.chain(lasting).collect::<Vec<_>>().join("\n")
}

/// All that is known of one module.
pub(super) fn page(view: &View) -> String {
    let record = &view.record;
    let since = format!("{} since {} UTC", text::state(record.state), text::moment(&record.since));
    let mut lines = vec![format!("module  {}", record.module), format!("state   {since}")];
    lines.extend(record.size.map(|size| format!("size    {}", text::size(size))));
    lines.extend(record.why.as_deref().map(|why| format!("why     {}", text::plain(why))));
    let row = |title: &str, numbers: &Numbers| format!("{title:<7} {}", text::column(numbers));
    lines.extend(view.done.as_ref().map(|done| row("in all", done)));
    if let Some(trial) = &record.trial {
        lines.push(format!("compared for {}", text::waited_ms(trial.elapsed_ms)));
        lines.push(row("  it", &trial.module));
        lines.push(row("  other", &trial.other));
    }
    lines.join("\n")
}
