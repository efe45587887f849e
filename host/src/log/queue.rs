//! Lines that wait to be written. Nothing here blocks on a file: a line that does not fit is dropped and counted.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Maximum number of bytes that wait to be written: some ten thousand lines, and little beside the memory of instances.
pub const MAX_WAITING: usize = 4 << 20;

/// The queue. Any thread adds lines, and one writes them.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    /// There is work for the writer, which sleeps.
    work: Condvar,
    /// The writer has ended.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines, one after the other.
    waiting: Vec<u8>,
    /// Bytes that the writer has taken, and has neither written nor given up.
    taken: usize,
    /// Lines that were added, and that the writer has neither written nor given up.
    unwritten: u64,
    /// Lines that were dropped since the last report.
    lost: u64,
    writer_sleeps: bool,
    closed: bool,
    writer_ended: bool,
}

/// What the writer does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Write the lines that were taken.
    Lines,
    /// Report that so many lines were lost.
    Report(u64),
    /// End.
    End,
}

impl Queue {
    /// Adds a line, which ends with a line break, or drops it if it does not fit.
    pub(super) fn add(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len().saturating_add(state.taken).saturating_add(line.len()) > MAX_WAITING {
            state.lost = state.lost.saturating_add(1);
            return;
        }
        self.append(state, line);
    }

    /// Adds a report of lost lines, whether or not it fits: there is one at a time.
    pub(super) fn add_report(&self, line: &[u8]) {
        self.append(self.lock(), line);
    }

    fn append(&self, mut state: MutexGuard<'_, State>, line: &[u8]) {
        let needed = state.waiting.len().saturating_add(line.len());
        if needed > state.waiting.capacity() {
            // As a vector grows by itself, but not beyond the bound.
            let capacity = state.waiting.capacity().saturating_mul(2).min(MAX_WAITING).max(needed);
            let more = capacity.saturating_sub(state.waiting.len());
            state.waiting.reserve_exact(more);
        }
        state.waiting.extend_from_slice(line);
        state.unwritten = state.unwritten.saturating_add(1);
        // A wake-up is a system call: one for all lines until the writer looks again.
        if std::mem::take(&mut state.writer_sleeps) {
            self.work.notify_one();
        }
    }

    /// Waits for work. Lines are put into `batch`, which must be empty. Lost lines are reported from `report_at` on; `None`
    /// if a report would be lost, too.
    pub(super) fn next(&self, batch: &mut Vec<u8>, report_at: Option<Instant>) -> Work {
        let mut state = self.lock();
        loop {
            let until_report = report_at
                .filter(|_| state.lost > 0)
                .map(|at| at.saturating_duration_since(Instant::now()))
                .map(|left| if state.closed { Duration::ZERO } else { left });
            if until_report.is_some_and(|left| left.is_zero()) {
                return Work::Report(std::mem::take(&mut state.lost));
            }
            if !state.waiting.is_empty() {
                std::mem::swap(&mut state.waiting, batch);
                state.taken = batch.len();
                return Work::Lines;
            }
            if state.closed {
                return Work::End;
            }
            state.writer_sleeps = true;
            state = match until_report {
                Some(left) => self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.writer_sleeps = false;
        }
    }

    /// The writer has written, or given up, so many of the bytes and lines that it took, and lost so many of these lines.
    pub(super) fn done(&self, bytes: usize, lines: u64, lost: u64) {
        let mut state = self.lock();
        state.taken = state.taken.saturating_sub(bytes);
        state.unwritten = state.unwritten.saturating_sub(lines);
        state.lost = state.lost.saturating_add(lost);
    }

    /// The writer ends.
    pub(super) fn writer_ended(&self) {
        self.lock().writer_ended = true;
        self.ended.notify_all();
    }

    /// Lets the writer end once it has written what waits now, and waits for that, at most this long: whoever reads the log may
    /// have stopped. Returns how many lines are lost, and have not been reported.
    pub(super) fn close(&self, at_most: Duration) -> u64 {
        let mut state = self.lock();
        state.closed = true;
        self.work.notify_one();
        let running = |state: &mut State| !state.writer_ended;
        let waited = self.ended.wait_timeout_while(state, at_most, running);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.lost.saturating_add(state.unwritten)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(queue: &Queue) -> Vec<u8> {
        let mut batch = Vec::new();
        assert_eq!(queue.next(&mut batch, None), Work::Lines);
        batch
    }

    #[test]
    fn a_line_that_does_not_fit_is_dropped_and_counted() {
        let queue = Queue::default();
        let half = vec![b'x'; MAX_WAITING / 2];
        queue.add(&half);
        queue.add(&half);
        queue.add(b"a line\n");
        assert!(queue.lock().waiting.capacity() <= MAX_WAITING);
        let batch = take(&queue);
        assert_eq!(batch.len(), MAX_WAITING);
        // What is being written still counts.
        queue.add(b"another line\n");
        queue.done(MAX_WAITING / 2, 1, 0);
        queue.add(b"a third\n");
        queue.done(MAX_WAITING / 2, 1, 0);
        assert_eq!(queue.next(&mut Vec::new(), Some(Instant::now())), Work::Report(2));
        assert_eq!(take(&queue), b"a third\n");
    }

    #[test]
    fn a_report_fits_always_and_waits_for_its_time() {
        let queue = Queue::default();
        queue.add(&vec![b'x'; MAX_WAITING]);
        queue.add(b"lost\n");
        queue.add_report(b"report\n");
        let later = Instant::now() + Duration::from_secs(600);
        let mut batch = Vec::new();
        assert_eq!(queue.next(&mut batch, Some(later)), Work::Lines);
        assert!(batch.ends_with(b"report\n"));
        // The last report does not wait.
        assert_eq!(queue.close(Duration::ZERO), 3);
        assert_eq!(queue.next(&mut Vec::new(), Some(later)), Work::Report(1));
        assert_eq!(queue.next(&mut Vec::new(), Some(later)), Work::End);
        queue.done(batch.len(), 2, 0);
        queue.writer_ended();
        assert_eq!(queue.close(Duration::from_secs(60)), 0);
    }
}
