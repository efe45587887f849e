//! Formats what the program logs, and starts the thread that writes it.

use std::{
    io::{self, IsTerminal},
    sync::Arc,
    time::Duration,
};

use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

use super::{
    queue::Queue,
    text::Escape,
    writer::{self, QueueWriter, Stdout},
};
use crate::config::{LogConfig, LogFormat};

/// How long the process waits at its end for its last lines to be written: whoever reads the log may have stopped.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The log. When this is dropped, the lines that wait are written, if that is possible within a second.
#[derive(Debug)]
pub struct Log(Arc<Queue>);

impl Drop for Log {
    fn drop(&mut self) {
        // Otherwise the lines that are left are lost: there is nobody to tell.
        self.0.close(FLUSH_TIMEOUT);
    }
}

/// From now on, what the program logs goes to standard output.
///
/// # Errors
///
/// If the operating system refuses a thread.
pub fn to_stdout(config: &LogConfig) -> io::Result<Log> {
    let is_terminal = io::stdout().is_terminal();
    let is_text = match config.log_format {
        LogFormat::Auto => is_terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let queue = Arc::new(Queue::default());
    writer::start(Arc::clone(&queue), Stdout)?;
    let escape = if is_text { Escape::Text } else { Escape::Json };
    let writer = QueueWriter { queue: Arc::clone(&queue), escape, is_report: false };
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(is_terminal && LogConfig::may_color()).with_writer(writer);
    let layer = if is_text {
        lines.boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(false).boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(config.log.clone())).init();
    Ok(Log(queue))
}
