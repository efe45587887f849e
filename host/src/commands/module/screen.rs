//! Steps as they happen: a line each, and on a terminal below them what is kept up to date.

use std::{
    io::{IsTerminal, Write},
    time::Instant,
};

use console::{StyledObject, style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Duration;

use super::text;
use crate::{
    config::Window,
    module::hash::ModuleHash,
    rollout::events::{Comparison, Event, Origin, Step},
};

/// How often what is kept up to date is drawn.
pub(super) const FRAME: Duration = Duration::from_millis(100);
/// How often the numbers of a trial have a line, where they cannot be kept up to date.
const BETWEEN_NUMBERS: u64 = 10_000;
const WAITING: &str = "{spinner:.cyan} {msg}";
const TRIAL: &str = "{spinner:.cyan} {bar:40.cyan/dim} {msg}";
const BAR: &str = "━━─";

/// Where steps are shown.
#[derive(Debug)]
pub(super) struct Screen {
    /// What is kept up to date; none if this is no terminal.
    live: Option<ProgressBar>,
    /// Steps of several modules are told apart by their hashes.
    names: bool,
    trial: Option<Trial>,
}

#[derive(Debug)]
struct Trial {
    began: Instant,
    window: Window,
    seen: Option<Comparison>,
    /// When its numbers had a line, in milliseconds of its time.
    told: u64,
}

impl Screen {
    /// Standard output; with `names` of modules before each step, or without.
    pub(super) fn new(names: bool) -> Self {
        let live = std::io::stdout().is_terminal() && console::Term::stdout().features().is_attended();
        let live = live.then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout()));
        let screen = Self { live, names, trial: None };
        screen.template(WAITING);
        if let Some(live) = &screen.live {
            live.enable_steady_tick(FRAME);
        }
        screen
    }

    /// Whether anything is kept up to date.
    pub(super) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Whether it shows a trial.
    pub(super) fn has_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// What is going on, where that is kept up to date.
    pub(super) fn waiting(&self, what: impl Into<String>) {
        if let Some(live) = &self.live {
            live.set_message(what.into());
        }
    }

    /// A step that was done.
    pub(super) fn done(&self, step: &str, what: &str) {
        self.line(&style("✓").green(), step, what, None);
    }

    /// Shows a step.
    pub(super) fn event(&mut self, event: &Event) {
        let module = Some(event.module);
        let done = |step: &str, what: &str| self.line(&style("✓").green(), step, what, module);
        match &event.step {
            Step::Received { from, size } => {
                done("received", &format!("{}, {}", text::size(*size), brought(*from)));
                self.waiting("compiling");
            }
            Step::Compiled { duration_ms, code } => {
                let (time, code) = (text::waited_ms(*duration_ms), text::size(*code));
                done("compiled", &format!("in {time}: {code} of code"));
                self.waiting("loading");
            }
            Step::Loaded { duration_ms } => {
                done("loaded", &format!("and tried in {}", text::waited_ms(*duration_ms)));
                self.waiting("asking smoke requests");
            }
            Step::Smoked { request, status, duration_ms } => {
                let (request, time) = (text::plain(request), text::waited_ms(*duration_ms));
                done("answered", &format!("{request} with {status} in {time}"));
            }
            Step::OnTrial { share, window } => {
                let how_long = window.parse().map_or_else(|_| text::plain(window), how_long);
                done("on trial", &format!("with {share} % of the requests, {how_long}"));
                self.begin_trial(window);
            }
            Step::Measured { trial: seen } => self.measured(seen, module),
            Step::Promoted { trial, duration_ms, .. } => {
                self.end_trial(trial.as_ref(), module);
                self.promoted(Some(*duration_ms), module);
            }
            Step::Refused { .. } => self.failed("refused", "nothing has changed", module),
            Step::RolledBack { trial, serving, .. } => {
                self.end_trial(trial.as_ref(), module);
                self.failed("rolled back", &format!("{} serves", serving.short()), module);
            }
            Step::Kept { trial } => {
                self.end_trial(Some(trial), module);
                self.line(&style("✓").green(), "kept", "after it was watched", module);
            }
        }
    }

    /// It serves.
    pub(super) fn promoted(&self, duration_ms: Option<u64>, module: Option<ModuleHash>) {
        let after = duration_ms.map(|time| format!("after {}: ", text::waited_ms(time))).unwrap_or_default();
        self.line(&style("✓").green().bold(), "promoted", &format!("{after}it serves all requests"), module);
    }

    /// It does not.
    pub(super) fn failed(&self, step: &str, what: &str, module: Option<ModuleHash>) {
        self.line(&style("✗").red().bold(), step, what, module);
    }

    /// The numbers at the end of a trial, and nothing that is kept up to date any more.
    pub(super) fn end_trial(&mut self, seen: Option<&Comparison>, module: Option<ModuleHash>) {
        self.trial = None;
        self.template(WAITING);
        self.waiting("");
        if let Some(seen) = seen {
            self.numbers(seen, module);
        }
    }

    /// Draws how much of a trial is over.
    pub(super) fn draw(&self) {
        let (Some(live), Some(trial)) = (&self.live, &self.trial) else { return };
        let elapsed = trial.began.elapsed();
        let requests = trial.seen.as_ref().map_or(0, |seen| seen.module.requests);
        let (position, length, progress) = match trial.window {
            Window::Time(time) => {
                let progress = format!("{} of {}", text::waited(elapsed.min(time.0)), text::waited(time.0));
                (milliseconds(elapsed), milliseconds(time.0), progress)
            }
            Window::Requests(wanted) => {
                let progress = format!("{requests} of {wanted} requests, {}", text::waited(elapsed));
                (requests, u64::from(wanted), progress)
            }
        };
        live.set_length(length);
        live.set_position(position.min(length));
        let seen = trial.seen.as_ref().map(|seen| {
            format!("\n    new {}\n    old {}", text::column(&seen.module), text::column(&seen.other))
        });
        live.set_message(format!("{progress}{}", seen.unwrap_or_default()));
    }

    /// Takes away what was kept up to date.
    pub(super) fn close(&self) {
        if let Some(live) = &self.live {
            live.finish_and_clear();
        }
    }

    fn begin_trial(&mut self, window: &str) {
        let Ok(window) = window.parse() else { return };
        self.trial = Some(Trial { began: Instant::now(), window, seen: None, told: 0 });
        self.template(TRIAL);
        self.draw();
    }

    /// Numbers while a trial goes on.
    pub(super) fn measured(&mut self, seen: &Comparison, module: Option<ModuleHash>) {
        let Some(trial) = &mut self.trial else { return };
        if let Some(began) = Instant::now().checked_sub(Duration::from_millis(seen.elapsed_ms)) {
            // Whoever looks on from later sees the same time pass.
            trial.began = began;
        }
        trial.seen = Some(seen.clone());
        if self.live.is_none() && seen.elapsed_ms >= trial.told + BETWEEN_NUMBERS {
            trial.told = seen.elapsed_ms;
            self.numbers(seen, module);
        }
        self.draw();
    }

    /// A trial that had begun before anyone looked on.
    pub(super) fn joined(&mut self, window: &str, seen: Option<&Comparison>, module: ModuleHash) {
        self.begin_trial(window);
        if let Some(seen) = seen {
            self.measured(seen, Some(module));
        }
    }

    fn numbers(&self, seen: &Comparison, module: Option<ModuleHash>) {
        let time = text::waited_ms(seen.elapsed_ms);
        if self.is_live() {
            let (new, old) = (text::column(&seen.module), text::column(&seen.other));
            self.print(&format!("    new {new}\n    old {old}"));
        } else {
            let what = format!("{time}: {}", text::comparison(seen));
            self.line(&style("✓"), "measured", &what, module);
        }
    }

    fn line(&self, mark: &StyledObject<&str>, step: &str, what: &str, module: Option<ModuleHash>) {
        let name = module.filter(|_| self.names).map(|module| format!("{}  ", module.short()));
        let line = format!("{}{step:<11}  {what}", name.unwrap_or_default());
        let line = if self.is_live() { format!("{mark} {line}") } else { line };
        self.print(&line);
    }

    fn print(&self, lines: &str) {
        match &self.live {
            Some(live) => live.println(lines),
            None => say(lines),
        }
    }

    fn template(&self, template: &str) {
        if let Some(live) = &self.live
            && let Ok(style) = ProgressStyle::with_template(template)
        {
            live.set_style(style.progress_chars(BAR));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}

/// Lines on standard output. Whoever does not read them is not told.
pub(super) fn say(lines: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{lines}").and_then(|()| output.flush());
}

fn brought(from: Origin) -> &'static str {
    match from {
        Origin::Start => "at the start",
        Origin::Restart => "at a restart",
        Origin::Reload => "by a reload",
        Origin::Push => "by a push",
    }
}

fn how_long(window: Window) -> String {
    match window {
        Window::Time(time) => format!("for {time}"),
        Window::Requests(requests) => format!("until it has answered {requests}"),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
