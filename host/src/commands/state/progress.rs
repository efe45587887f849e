//! The progress bar of a transfer. It is drawn on a terminal only.

use std::{fmt, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How often the bar is drawn.
const FRAME: Duration = Duration::from_millis(100);
const COUNTED_TEMPLATE: &str = "{spinner:.cyan} {bar:40.cyan/dim} {msg} {human_pos} of {human_len} entries, {rate} per second, {eta} left";
const UNCOUNTED_TEMPLATE: &str = "{spinner:.cyan} {msg} {human_pos} entries, {rate} per second, {elapsed}";
const BAR_CHARACTERS: &str = "━━─";

/// A progress bar on standard error, if that is a terminal. Dropping it removes the bar.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar that is not drawn yet, and never if it is not `visible`.
    pub(super) fn new(visible: bool) -> Self {
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self(ProgressBar::with_draw_target(None, target))
    }

    /// Starts a new step over this many entries, if the number is known.
    pub(super) fn begin(&self, what: &'static str, entries: Option<u64>) {
        let template = if entries.is_some() { COUNTED_TEMPLATE } else { UNCOUNTED_TEMPLATE };
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
                // A failure only leaves the rate out of the bar.
                let _ = write!(text, "{:.0}", state.per_sec());
            };
            self.0.set_style(style.with_key("rate", rate).progress_chars(BAR_CHARACTERS));
        }
        match entries {
            Some(entries) => self.0.set_length(entries),
            None => self.0.unset_length(),
        }
        self.0.reset();
        self.0.set_message(what);
        self.0.enable_steady_tick(FRAME);
    }

    /// Sets the number of entries done.
    pub(super) fn set(&self, entries: u64) {
        self.0.set_position(entries);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The duration and rate of a transfer, as text.
pub(super) fn rate(entries: u64, time: Duration) -> String {
    let milliseconds = time.as_millis().max(1);
    let rate = u128::from(entries).saturating_mul(1000) / milliseconds;
    format!("{}.{:03} s, {rate} per second", time.as_secs(), time.subsec_millis())
}
