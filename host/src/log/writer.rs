//! The thread that writes log lines, and reports how many were lost.

use std::{
    io::{self, ErrorKind, Write},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

use super::{
    queue::{Queue, Work},
    text::{Escape, escaped},
};
use crate::lifecycle::essential::Essential;

/// How much is written at once, if lines are no longer: what the kernel writes to a pipe in one piece (`PIPE_BUF`), so that
/// lines of several processes on one pipe are not mixed.
const CHUNK: usize = 4096;
/// The shortest time from one report of lost lines to the next. A log that is read too slowly would otherwise be full of them.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How often writing is tried again if another process has made standard output non-blocking, and it is full.
const RETRY_PAUSE: Duration = Duration::from_millis(10);
/// A buffer beyond this is returned to the allocator once it is empty, in bytes.
const KEPT_BUFFER: usize = 64 << 10;

/// Standard output, without the buffer of the standard library.
#[derive(Debug)]
pub(super) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts the thread, which writes the lines of `queue` to `output`.
///
/// # Errors
///
/// If the operating system refuses the thread.
pub(super) fn start(queue: Arc<Queue>, output: impl Write + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("log".into()).spawn(move || {
        let _essential = Essential("the thread that writes the log");
        run(&queue, output);
        queue.writer_ended();
    })?;
    Ok(())
}

fn run(queue: &Queue, output: impl Write) {
    let mut output = Lines { output, in_line: false };
    let mut batch = Vec::new();
    let mut last_report = None::<Instant>;
    // None as long as the last line was lost.
    let mut report_at = Some(Instant::now());
    loop {
        match queue.next(&mut batch, report_at) {
            Work::Lines => {
                let is_whole = output.write_all(&batch, queue);
                let next_report = || last_report.map_or_else(Instant::now, |last| last + REPORT_INTERVAL);
                report_at = is_whole.then(next_report);
                batch.clear();
                batch.shrink_to(KEPT_BUFFER);
            }
            Work::Report(lost) => {
                let now = Instant::now();
                (last_report, report_at) = (Some(now), Some(now + REPORT_INTERVAL));
                // It comes back as a line of the queue.
                tracing::warn!(
                    event = "log.lines_lost",
                    lost,
                    "log lines were lost: the log was not read in time, or could not be written"
                );
            }
            Work::End => return,
        }
    }
}

/// Writes whole lines.
struct Lines<W> {
    output: W,
    /// Whether the last byte written was within a line.
    in_line: bool,
}

impl<W: Write> Lines<W> {
    /// Writes all lines, or as many as possible. Returns whether all were written; the others are counted as lost.
    fn write_all(&mut self, lines: &[u8], queue: &Queue) -> bool {
        let mut rest = lines;
        if self.in_line && self.write(b"\n").is_err() {
            let lost = count(rest);
            queue.done(rest.len(), lost, lost);
            return false;
        }
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(chunk_length(rest));
            if let Err(unwritten) = self.write(chunk) {
                let whole = chunk.len().saturating_sub(unwritten);
                // The line that was begun is lost, too: it ends with the first line break that is not written.
                let lost = count(rest.get(whole..).unwrap_or_default());
                queue.done(rest.len(), count(rest), lost);
                return false;
            }
            queue.done(chunk.len(), count(chunk), 0);
            rest = after;
        }
        true
    }

    /// Writes all bytes.
    ///
    /// # Errors
    ///
    /// The number of bytes that could not be written.
    fn write(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.output.write(rest) {
                Ok(0) => return Err(rest.len()),
                Ok(written) => {
                    let (done, after) = rest.split_at(written.min(rest.len()));
                    self.in_line = done.last() != Some(&b'\n');
                    rest = after;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(RETRY_PAUSE),
                Err(_) => return Err(rest.len()),
            }
        }
        Ok(())
    }
}

/// The length of the next piece to write: as many whole lines as fit into [`CHUNK`], or one that is longer.
fn chunk_length(lines: &[u8]) -> usize {
    let Some(start) = lines.get(..CHUNK).filter(|_| lines.len() > CHUNK) else { return lines.len() };
    let is_end = |byte: &u8| *byte == b'\n';
    let end = start.iter().rposition(is_end).or_else(|| lines.iter().position(is_end));
    end.map_or(lines.len(), |end| end + 1)
}

fn count(lines: &[u8]) -> u64 {
    let ends = lines.iter().filter(|byte| **byte == b'\n').count();
    u64::try_from(ends).unwrap_or(u64::MAX)
}

/// Adds lines to the queue.
#[derive(Clone, Debug)]
pub(super) struct QueueWriter {
    pub(super) queue: Arc<Queue>,
    pub(super) escape: Escape,
    /// Whether the line is a report of lost lines.
    pub(super) is_report: bool,
}

impl Write for QueueWriter {
    /// The formatter writes each line in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let safe = escaped(line, self.escape);
        if self.is_report {
            self.queue.add_report(&safe);
        } else {
            self.queue.add(&safe);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for QueueWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }

    fn make_writer_for(&'a self, line: &tracing::Metadata<'_>) -> Self {
        // This file logs nothing else.
        Self { is_report: line.target() == module_path!(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Has room for some bytes, and fails beyond.
    #[derive(Clone)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (content, room) = &mut *self.0.lock().unwrap();
            let written = bytes.len().min(room.saturating_sub(content.len()));
            content.extend_from_slice(&bytes[..written]);
            if written == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(written) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_the_next_starts_on_its_own() {
        let disk = Disk(Arc::new(Mutex::new((Vec::new(), 9))));
        let mut lines = Lines { output: disk.clone(), in_line: false };
        let queue = Queue::default();
        assert!(!lines.write_all(b"first\nsecond\nthird\n", &queue));
        assert!(!lines.write_all(b"fourth\n", &queue));
        assert_eq!(queue.next(&mut Vec::new(), Some(Instant::now())), Work::Report(3));
        disk.0.lock().unwrap().1 = 100;
        assert!(lines.write_all(b"fifth\n", &queue));
        assert_eq!(disk.0.lock().unwrap().0, b"first\nsec\nfifth\n");
    }

    #[test]
    fn a_chunk_ends_with_a_line() {
        let line = |length: usize| format!("{}\n", "x".repeat(length - 1)).into_bytes();
        assert_eq!(chunk_length(&line(10)), 10);
        assert_eq!(chunk_length(&line(10_000)), 10_000);
        assert_eq!(chunk_length(&[line(10_000), line(10)].concat()), 10_000);
        assert_eq!(chunk_length(&line(1000).repeat(10)), 4000);
        assert_eq!(chunk_length(&line(4096).repeat(2)), 4096);
    }
}
