//! How far a transfer is: a bar on a terminal, nothing elsewhere.

use std::{fmt, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How often it is drawn.
const FRAME: Duration = Duration::from_millis(100);
const COUNTED: &str =
    "{spinner:.cyan} {bar:40.cyan/dim} {msg} {human_pos} of {human_len} entries, {rate} a second, {eta} left";
const UNCOUNTED: &str = "{spinner:.cyan} {msg} {human_pos} entries, {rate} a second, {elapsed}";
const BAR: &str = "━━─";

/// What is drawn on standard error, if that is a terminal; taken away when it is dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Draws nothing yet; never if it is not wanted.
    pub(super) fn new(wanted: bool) -> Self {
        let target = if wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self(ProgressBar::with_draw_target(None, target))
    }

    /// Begins anew with something that goes over this many entries.
    pub(super) fn begin(&self, what: &'static str, entries: Option<u64>) {
        let template = if entries.is_some() { COUNTED } else { UNCOUNTED };
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
                // What cannot be shown is left out.
                let _ = write!(text, "{:.0}", state.per_sec());
            };
            self.0.set_style(style.with_key("rate", rate).progress_chars(BAR));
        }
        match entries {
            Some(entries) => self.0.set_length(entries),
            None => self.0.unset_length(),
        }
        self.0.reset();
        self.0.set_message(what);
        self.0.enable_steady_tick(FRAME);
    }

    /// So many entries are done.
    pub(super) fn at(&self, entries: u64) {
        self.0.set_position(entries);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// How fast that was, for people.
pub(super) fn rate(entries: u64, time: Duration) -> String {
    let milliseconds = time.as_millis().max(1);
    let rate = u128::from(entries).saturating_mul(1000) / milliseconds;
    format!("{}.{:03} s, {rate} a second", time.as_secs(), time.subsec_millis())
}
