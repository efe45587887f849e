//! Shows each step on a line of its own; on a terminal, a live line below them shows the progress.

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

/// How often the live line is drawn.
pub(super) const FRAME: Duration = Duration::from_millis(100);
/// How often the numbers of a trial are printed where there is no live line, in milliseconds.
const NUMBERS_INTERVAL_MS: u64 = 10_000;
const WAITING_TEMPLATE: &str = "{spinner:.cyan} {msg}";
const TRIAL_TEMPLATE: &str = "{spinner:.cyan} {bar:40.cyan/dim} {msg}";
const BAR_CHARACTERS: &str = "━━─";

/// The output of a command that follows a rollout.
#[derive(Debug)]
pub(super) struct Screen {
    /// The live line; none if standard output is not a terminal.
    live: Option<ProgressBar>,
    /// Whether each step starts with the hash of its module, because several modules may be shown.
    with_hashes: bool,
    trial: Option<Trial>,
}

#[derive(Debug)]
struct Trial {
    began: Instant,
    window: Window,
    numbers: Option<Comparison>,
    /// When its numbers were last printed, in milliseconds since its start.
    printed_ms: u64,
}

impl Screen {
    /// Writes to standard output.
    pub(super) fn new(with_hashes: bool) -> Self {
        let live = std::io::stdout().is_terminal() && console::Term::stdout().features().is_attended();
        let live = live.then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout()));
        let screen = Self { live, with_hashes, trial: None };
        screen.set_template(WAITING_TEMPLATE);
        if let Some(live) = &screen.live {
            live.enable_steady_tick(FRAME);
        }
        screen
    }

    /// Whether there is a live line.
    pub(super) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Whether a trial is shown.
    pub(super) fn has_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Shows on the live line what the command waits for.
    pub(super) fn waiting(&self, what: impl Into<String>) {
        if let Some(live) = &self.live {
            live.set_message(what.into());
        }
    }

    /// Shows a completed step.
    pub(super) fn done(&self, step: &str, what: &str) {
        self.line(&style("✓").green(), step, what, None);
    }

    /// Shows the step of an event.
    pub(super) fn event(&mut self, event: &Event) {
        let module = Some(event.module);
        let done = |step: &str, what: &str| self.line(&style("✓").green(), step, what, module);
        match &event.step {
            Step::Received { from, size } => {
                done("received", &format!("{}, {}", text::size(*size), origin_text(*from)));
                self.waiting("compiling");
            }
            Step::Compiled { duration_ms, code } => {
                let (time, code) = (text::duration_ms(*duration_ms), text::size(*code));
                done("compiled", &format!("in {time}: {code} of code"));
                self.waiting("loading");
            }
            Step::Loaded { duration_ms } => {
                done("loaded", &format!("and tried in {}", text::duration_ms(*duration_ms)));
                self.waiting("sending the smoke requests");
            }
            Step::Smoked { request, status, duration_ms } => {
                let (request, time) = (text::printable(request), text::duration_ms(*duration_ms));
                done("answered", &format!("{request} with {status} in {time}"));
            }
            Step::OnTrial { share, window } => {
                let length = window.parse().map_or_else(|_| text::printable(window), window_text);
                done("on trial", &format!("with {share} % of the requests, {length}"));
                self.begin_trial(window);
            }
            Step::Measured { trial } => self.measured(trial, module),
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
                self.line(&style("✓").green(), "kept", "no worse while it was watched", module);
            }
        }
    }

    /// Shows that the module serves all requests.
    pub(super) fn promoted(&self, duration_ms: Option<u64>, module: Option<ModuleHash>) {
        let after =
            duration_ms.map(|time| format!("after {}: ", text::duration_ms(time))).unwrap_or_default();
        self.line(&style("✓").green().bold(), "promoted", &format!("{after}it serves all requests"), module);
    }

    /// Shows that the module does not serve.
    pub(super) fn failed(&self, step: &str, what: &str, module: Option<ModuleHash>) {
        self.line(&style("✗").red().bold(), step, what, module);
    }

    /// Prints the final numbers of a trial and clears the live line.
    pub(super) fn end_trial(&mut self, numbers: Option<&Comparison>, module: Option<ModuleHash>) {
        self.trial = None;
        self.set_template(WAITING_TEMPLATE);
        self.waiting("");
        if let Some(numbers) = numbers {
            self.print_numbers(numbers, module);
        }
    }

    /// Draws the progress of the trial on the live line.
    pub(super) fn draw(&self) {
        let (Some(live), Some(trial)) = (&self.live, &self.trial) else { return };
        let elapsed = trial.began.elapsed();
        let requests = trial.numbers.as_ref().map_or(0, |numbers| numbers.module.requests);
        let (position, length, progress) = match trial.window {
            Window::Time(time) => {
                let progress =
                    format!("{} of {}", text::duration(elapsed.min(time.0)), text::duration(time.0));
                (milliseconds(elapsed), milliseconds(time.0), progress)
            }
            Window::Requests(wanted) => {
                let progress = format!("{requests} of {wanted} requests, {}", text::duration(elapsed));
                (requests, u64::from(wanted), progress)
            }
        };
        live.set_length(length);
        live.set_position(position.min(length));
        let numbers = trial.numbers.as_ref().map(|numbers| {
            let (new, old) = (text::aligned_numbers(&numbers.module), text::aligned_numbers(&numbers.other));
            format!("\n    new {new}\n    old {old}")
        });
        live.set_message(format!("{progress}{}", numbers.unwrap_or_default()));
    }

    /// Removes the live line.
    pub(super) fn close(&self) {
        if let Some(live) = &self.live {
            live.finish_and_clear();
        }
    }

    fn begin_trial(&mut self, window: &str) {
        let Ok(window) = window.parse() else { return };
        self.trial = Some(Trial { began: Instant::now(), window, numbers: None, printed_ms: 0 });
        self.set_template(TRIAL_TEMPLATE);
        self.draw();
    }

    /// Shows the numbers of a trial in progress.
    pub(super) fn measured(&mut self, numbers: &Comparison, module: Option<ModuleHash>) {
        let Some(trial) = &mut self.trial else { return };
        if let Some(began) = Instant::now().checked_sub(Duration::from_millis(numbers.elapsed_ms)) {
            // A viewer that joins later shows the same elapsed time.
            trial.began = began;
        }
        trial.numbers = Some(numbers.clone());
        if self.live.is_none() && numbers.elapsed_ms >= trial.printed_ms + NUMBERS_INTERVAL_MS {
            trial.printed_ms = numbers.elapsed_ms;
            self.print_numbers(numbers, module);
        }
        self.draw();
    }

    /// Shows a trial that started before this command did.
    pub(super) fn join_trial(&mut self, window: &str, numbers: Option<&Comparison>, module: ModuleHash) {
        self.begin_trial(window);
        if let Some(numbers) = numbers {
            self.measured(numbers, Some(module));
        }
    }

    fn print_numbers(&self, numbers: &Comparison, module: Option<ModuleHash>) {
        let time = text::duration_ms(numbers.elapsed_ms);
        if self.is_live() {
            let (new, old) = (text::aligned_numbers(&numbers.module), text::aligned_numbers(&numbers.other));
            self.print(&format!("    new {new}\n    old {old}"));
        } else {
            let what = format!("{time}: {}", text::comparison(numbers));
            self.line(&style("✓"), "measured", &what, module);
        }
    }

    fn line(&self, mark: &StyledObject<&str>, step: &str, what: &str, module: Option<ModuleHash>) {
        let hash = module.filter(|_| self.with_hashes).map(|module| format!("{}  ", module.short()));
        let line = format!("{}{step:<11}  {what}", hash.unwrap_or_default());
        let line = if self.is_live() { format!("{mark} {line}") } else { line };
        self.print(&line);
    }

    fn print(&self, lines: &str) {
        match &self.live {
            Some(live) => live.println(lines),
            None => print(lines),
        }
    }

    fn set_template(&self, template: &str) {
        if let Some(live) = &self.live
            && let Ok(style) = ProgressStyle::with_template(template)
        {
            live.set_style(style.progress_chars(BAR_CHARACTERS));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}

/// Prints lines to standard output. If standard output is closed, the lines are lost.
pub(super) fn print(lines: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{lines}").and_then(|()| output.flush());
}

fn origin_text(from: Origin) -> &'static str {
    match from {
        Origin::Start => "at the start",
        Origin::Restart => "at a restart",
        Origin::Reload => "by a reload",
        Origin::Push => "by a push",
    }
}

fn window_text(window: Window) -> String {
    match window {
        Window::Time(time) => format!("for {time}"),
        Window::Requests(requests) => format!("until it has answered {requests}"),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
