//! What `list` and `status` print.

use std::io::IsTerminal;

use super::text;
use crate::{
    admin::{Overview, View},
    rollout::{events::Numbers, roster::State},
};

/// All modules, one per line. On a terminal, lines are truncated to its width.
pub(super) fn modules(overview: &Overview) -> String {
    let width = std::io::stdout().is_terminal().then(|| usize::from(console::Term::stdout().size().1));
    let mut lines =
        vec![format!("{:<11}  {:<12}  {:>9}  {:<19}  WHY", "STATE", "MODULE", "SIZE", "SINCE (UTC)")];
    for view in &overview.modules {
        let record = &view.record;
        let size = record.size.map(text::size).unwrap_or_default();
        let why = record.why.as_deref().map(text::printable).unwrap_or_default();
        let line = format!(
            "{:<11}  {}  {size:>9}  {:<19}  {why}",
            text::state(record.state),
            record.module.short(),
            text::timestamp(&record.since)
        );
        lines.push(line.trim_end().to_owned());
    }
    let fit = |line: String| width.map_or_else(|| line.clone(), |width| text::truncated(&line, width));
    lines.into_iter().map(fit).collect::<Vec<_>>().join("\n")
}

/// The serving module, the one on trial or being checked, and the previous one.
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
        let (name, since) = (view.record.module.short(), text::timestamp(&view.record.since));
        format!("{role:<8}  {name}  since {since} UTC{done}")
    });
    let durability = (!overview.durable).then(|| {
        "Pushed modules are lost when the process exits: the service has no --module-dir.".to_owned()
    });
    lines.chain(durability).collect::<Vec<_>>().join("\n")
}

/// Everything that is known about one module.
pub(super) fn module(view: &View) -> String {
    let record = &view.record;
    let since = format!("{} since {} UTC", text::state(record.state), text::timestamp(&record.since));
    let mut lines = vec![format!("module  {}", record.module), format!("state   {since}")];
    lines.extend(record.size.map(|size| format!("size    {}", text::size(size))));
    lines.extend(record.why.as_deref().map(|why| format!("why     {}", text::printable(why))));
    let row = |title: &str, numbers: &Numbers| format!("{title:<7} {}", text::aligned_numbers(numbers));
    lines.extend(view.done.as_ref().map(|done| row("total", done)));
    if let Some(trial) = &record.trial {
        lines.push(format!("compared for {}", text::duration_ms(trial.elapsed_ms)));
        lines.push(row("  this", &trial.module));
        lines.push(row("  other", &trial.other));
    }
    lines.join("\n")
}
