//! What `list` and `status` print.

use std::io::IsTerminal;

use super::text;
use crate::{
    admin::{Overview, Progress, View},
    rollout::{events::Numbers, machine::Phase, roster::State},
};

/// All modules, one per line. On a terminal, lines are truncated to its width.
pub(super) fn modules(overview: &Overview) -> String {
    let width = std::io::stdout().is_terminal().then(|| usize::from(console::Term::stdout().size().1));
    let mut lines =
        vec![format!("{:<11}  {:<12}  {:>9}  {:<19}  WHY", "STATE", "MODULE", "SIZE", "SINCE (UTC)")];
    for view in &overview.modules {
        let record = &view.record;
        let size = record.size.map(text::size).unwrap_or_default();
        let why = text::why(record);
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

/// The serving module, the rollout in progress, and the previous module.
pub(super) fn overview(overview: &Overview) -> String {
    let checking = overview.modules.iter().find(|view| view.record.state == State::Checking);
    let lines = [
        Some(("serving", &overview.serving, None)),
        overview.candidate.as_ref().map(|view| ("on trial", view, None)),
        overview.control.as_ref().map(|control| ("control", &control.view, Some(control.share))),
        checking.map(|view| ("checking", view, None)),
        overview.previous.as_ref().map(|view| ("previous", view, None)),
    ];
    let lines = lines.into_iter().flatten().map(|(role, view, share)| {
        let (name, since) = (view.record.module.short(), text::timestamp(&view.record.since));
        let mut parts = vec![format!("{role:<8}  {name}  since {since} UTC")];
        parts.extend(share.map(|share| format!("{share} % of the requests")));
        parts.extend(view.done.as_ref().map(text::numbers));
        parts.extend(Some(text::why(&view.record)).filter(|why| !why.is_empty()));
        parts.join("  ")
    });
    let rollout = overview.rollout.as_ref().map(|rollout| format!("rollout   {}", progress(rollout)));
    let durability = (!overview.durable).then(|| {
        "Pushed modules are lost when the process exits: the service has no --module-dir.".to_owned()
    });
    lines.chain(rollout).chain(durability).collect::<Vec<_>>().join("\n")
}

/// What happens in a rollout, and for how long.
fn progress(rollout: &Progress) -> String {
    let module = rollout.module.map(|module| format!("{}  ", module.short())).unwrap_or_default();
    let left = rollout.seconds_left.map(text::seconds);
    let what = match (rollout.phase, left) {
        (Phase::OnTrial, Some(left)) => format!("on trial, for another {left} at most"),
        (Phase::Watched, Some(left)) => {
            format!("watched for another {left}; it is rolled back if it is worse")
        }
        (Phase::OnTrial | Phase::Watched, None) => "compared with its control".to_owned(),
        (Phase::Settled | Phase::Preparing, _) => "being prepared".to_owned(),
        (Phase::Promoting, _) => "being promoted".to_owned(),
        (Phase::Withdrawing | Phase::Restoring | Phase::Reverting | Phase::Unrecorded, _) => {
            "a rollback is in progress".to_owned()
        }
    };
    format!("{module}{what}")
}

/// Everything that is known about one module.
pub(super) fn module(view: &View) -> String {
    let record = &view.record;
    let since = format!("{} since {} UTC", text::state(record.state), text::timestamp(&record.since));
    let mut lines = vec![format!("module  {}", record.module), format!("state   {since}")];
    lines.extend(record.size.map(|size| format!("size    {}", text::size(size))));
    lines.extend(record.why.as_deref().map(|why| format!("why     {}", text::printable(why))));
    lines.extend(record.unproven.as_deref().map(|why| format!("unproven: {}", text::printable(why))));
    let row = |title: &str, numbers: &Numbers| format!("{title:<7} {}", text::aligned_numbers(numbers));
    lines.extend(view.done.as_ref().map(|done| row("total", done)));
    if let Some(trial) = &record.trial {
        lines.push(format!("compared for {}", text::duration_ms(trial.elapsed_ms)));
        lines.push(row("  this", &trial.module));
        lines.push(row("  other", &trial.other));
    }
    lines.join("\n")
}
