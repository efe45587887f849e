//! Formats what the program logs, and starts the thread that writes it.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, mpsc::sync_channel},
    thread,
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

/// The log. When this is dropped, the lines that wait are written, if that is possible within a second; otherwise standard error
/// says how many are lost.
#[derive(Debug)]
pub struct Log(Arc<Queue>);

impl Drop for Log {
    fn drop(&mut self) {
        let lost = self.0.close(FLUSH_TIMEOUT);
        if lost > 0 {
            tell_lost(lost);
        }
    }
}

/// Says on standard error how many lines were lost, which the log itself cannot say any more. It may be the same pipe, so this is
/// tried for as long as the lines were, and no longer.
fn tell_lost(lost: u64) {
    let (written, is_written) = sync_channel(1);
    let tell = move || {
        let what = "log lines were lost: they were not read, or could not be written";
        let _ = writeln!(io::stderr().lock(), "orders-host: {lost} {what}");
        let _ = written.send(());
    };
    if thread::Builder::new().name("lost".into()).spawn(tell).is_ok() {
        let _ = is_written.recv_timeout(FLUSH_TIMEOUT);
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
    tracing_subscriber::registry().with(layer.with_filter(config.log.0.clone())).init();
    Ok(Log(queue))
}
