//! Shows each step on a line of its own; on a terminal, a live line below them shows the progress.

use std::{io::IsTerminal, sync::OnceLock, time::Instant};

use console::{StyledObject, style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Duration;

use super::{
    live::{End, Observation, Progress, both_numbers},
    text,
};
use crate::{
    commands::{
        error::CommandError,
        output::{print, tell},
    },
    config::{Period, Window},
    module::hash::ModuleHash,
    rollout::{
        events::{Comparison, Event, Origin, Step},
        roster::Record,
    },
};

/// How often the live line is drawn.
pub(super) const FRAME: Duration = Duration::from_millis(100);
const WAITING_TEMPLATE: &str = "{spinner:.cyan} {msg}";
const OBSERVATION_TEMPLATE: &str = "{spinner:.cyan} {bar:40.cyan/dim} {msg}";
const BAR_CHARACTERS: &str = "━━─";

/// The output of a command that follows a rollout.
#[derive(Debug)]
pub(super) struct Screen {
    /// The live line; none if standard output is not a terminal.
    live: Option<ProgressBar>,
    /// Whether each step starts with the hash of its module, because several modules may be shown.
    with_hashes: bool,
    /// The module that serves as the command starts.
    serving: ModuleHash,
    /// The trial or the watch in progress.
    observation: Option<Observation>,
    /// Why a line could not be written. The rollout goes on regardless.
    failure: OnceLock<CommandError>,
}

impl Screen {
    /// Writes to standard output.
    pub(super) fn new(with_hashes: bool, serving: ModuleHash) -> Self {
        let live = std::io::stdout().is_terminal() && console::Term::stdout().features().is_attended();
        let live = live.then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout()));
        let screen = Self { live, with_hashes, serving, observation: None, failure: OnceLock::new() };
        screen.set_template(WAITING_TEMPLATE);
        if let Some(live) = &screen.live {
            live.enable_steady_tick(FRAME);
        }
        screen
    }

    /// Whether all lines could be written.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub(super) fn written(&self) -> Result<(), CommandError> {
        self.failure.get().cloned().map_or(Ok(()), Err)
    }

    /// Whether there is a live line.
    pub(super) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Whether a trial or a watch is shown.
    pub(super) fn has_observation(&self) -> bool {
        self.observation.is_some()
    }

    /// Shows on the live line what the command waits for.
    pub(super) fn waiting(&self, what: impl Into<String>) {
        if let Some(live) = &self.live {
            live.set_message(what.into());
        }
    }

    /// Prints a warning.
    pub(super) fn warn(&self, what: &str) {
        match &self.live {
            Some(live) => live.suspend(|| warn(what)),
            None => warn(what),
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
            Step::Received { from, size, by } => {
                let by = by.as_deref().map(|by| format!(" ({})", text::printable(by))).unwrap_or_default();
                done("received", &format!("{}, {}{by}", text::size(*size), origin_text(*from)));
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
            Step::OnTrial { share, window, .. } => {
                let length = window.parse().map_or_else(|_| text::printable(window), window_text);
                done("on trial", &format!("with {share} % of the requests, {length}"));
                self.begin_trial(window);
            }
            Step::Extended { why } => {
                let why = format!("too few requests for a verdict so far: {}", text::printable(why));
                self.line(&style("!").yellow(), "extended", &why, module);
            }
            Step::Measured { trial } => self.measured(trial, module),
            Step::Promoted { trial, unproven, watch, duration_ms, .. } => {
                self.end_observation(trial.as_ref(), module);
                self.promoted(*duration_ms, unproven.is_some(), watch.as_deref(), module);
            }
            Step::Refused { .. } => {
                self.failed("refused", &format!("{} still serves", self.serving.short()), module);
            }
            Step::RolledBack { trial, serving, .. } => {
                self.end_observation(trial.as_ref(), module);
                self.failed("rolled back", &format!("{} serves again", serving.short()), module);
            }
            Step::Kept { trial, unproven } => {
                self.end_observation(Some(trial), module);
                let what = match unproven {
                    None => "it was no worse during the watch: it serves all requests",
                    Some(_) => "unproven: too few requests for a verdict during the watch",
                };
                self.line(&style("✓").green(), "kept", what, module);
            }
        }
    }

    /// Shows that the module serves.
    fn promoted(
        &mut self,
        duration_ms: u64,
        is_unproven: bool,
        watch: Option<&str>,
        module: Option<ModuleHash>,
    ) {
        let evidence = if is_unproven { ", unproven (too few requests for a verdict)" } else { "" };
        let serves = match watch {
            None => "it serves all requests".to_owned(),
            Some(watch) => format!("it serves, and is watched for {}", text::printable(watch)),
        };
        let what = format!("after {}{evidence}: {serves}", text::duration_ms(duration_ms));
        self.line(&style("✓").green().bold(), "promoted", &what, module);
        if let Some(Ok(Period(watch))) = watch.map(str::parse) {
            self.observe(End::At(Instant::now() + watch));
        }
    }

    /// Shows that the module does not serve.
    fn failed(&self, step: &str, what: &str, module: Option<ModuleHash>) {
        self.line(&style("✗").red().bold(), step, what, module);
    }

    /// Prints the final numbers of a trial or a watch and clears the live line.
    fn end_observation(&mut self, numbers: Option<&Comparison>, module: Option<ModuleHash>) {
        self.observation = None;
        self.set_template(WAITING_TEMPLATE);
        self.waiting("");
        if let Some(numbers) = numbers {
            self.print_numbers(numbers, module);
        }
    }

    /// Draws the progress of the trial or the watch on the live line.
    pub(super) fn draw(&self) {
        let (Some(live), Some(observation)) = (&self.live, &self.observation) else { return };
        let Progress { position, length, text } = observation.progress();
        live.set_length(length);
        live.set_position(position);
        live.set_message(text);
    }

    /// Removes the live line.
    pub(super) fn close(&self) {
        if let Some(live) = &self.live {
            live.finish_and_clear();
        }
    }

    fn begin_trial(&mut self, window: &str) {
        if let Ok(window) = window.parse() {
            self.observe(End::Window(window));
        }
    }

    fn observe(&mut self, end: End) {
        self.observation = Some(Observation::new(end));
        self.set_template(OBSERVATION_TEMPLATE);
        self.draw();
    }

    /// Shows the numbers of a trial or a watch in progress.
    fn measured(&mut self, numbers: &Comparison, module: Option<ModuleHash>) {
        let Some(observation) = &mut self.observation else { return };
        if observation.update(numbers) && self.live.is_none() {
            self.print_numbers(numbers, module);
        }
        self.draw();
    }

    /// Shows a trial that started before this command did.
    pub(super) fn join_trial(&mut self, record: &Record) {
        if let Some(window) = &record.window {
            self.begin_trial(window);
        }
        if let Some(numbers) = &record.trial {
            self.measured(numbers, Some(record.module));
        }
    }

    /// Shows a watch that started before this command did, and takes as long as this.
    pub(super) fn join_watch(&mut self, left: Duration) {
        self.observe(End::At(Instant::now() + left));
    }

    fn print_numbers(&self, numbers: &Comparison, module: Option<ModuleHash>) {
        if self.is_live() {
            self.print(&both_numbers(numbers));
        } else {
            let what = format!("{}: {}", text::duration_ms(numbers.elapsed_ms), text::comparison(numbers));
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
            None => {
                if let Err(error) = print(lines) {
                    // Only the first one is kept.
                    let _ = self.failure.set(error);
                }
            }
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

/// Prints a warning to standard error.
pub(super) fn warn(what: &str) {
    tell(format_args!("warning: {what}"));
}

fn origin_text(from: Origin) -> &'static str {
    match from {
        Origin::Start => "at the start",
        Origin::Restart => "at a restart",
        Origin::Reload => "by a reload",
        Origin::Push => "by a push",
        Origin::Activate => "from the module folder",
    }
}

fn window_text(window: Window) -> String {
    match window {
        Window::Time(time) => format!("for {time}"),
        Window::Requests(requests) => format!("until it has answered {requests} requests"),
    }
}
