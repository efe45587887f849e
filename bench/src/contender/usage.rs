//! Memory and processor time of a running contender.

use std::{fs, process::Command};

use xtask::{command::output, serving::Serving};

/// What a process uses, by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage(i32);

impl Usage {
    /// Of a process that serves.
    pub(crate) fn of(serving: &Serving) -> Self {
        Self(serving.process.id())
    }

    /// Its resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory it had, in MiB, since it was last told to [`forget_peak`](Self::forget_peak).
    pub(crate) fn peak(&self) -> f64 {
        self.memory("VmHWM:")
    }

    /// Begins to look for the most resident memory anew.
    pub(crate) fn forget_peak(&self) {
        // Where that is not allowed, the peak is that of its whole life: never less than asked for.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.0), "5");
    }

    /// The processor time it has taken so far, in microseconds.
    pub(crate) fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        // What follows the name, which may contain anything: the fields from the third on (proc_pid_stat(5)).
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: f64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        ticks * 1_000_000.0 / ticks_per_second()
    }

    fn memory(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
        kib.and_then(|kib| kib.parse::<f64>().ok()).map_or(f64::NAN, |kib| kib / 1024.0)
    }
}

/// The unit of processor times.
fn ticks_per_second() -> f64 {
    output(Command::new("getconf").arg("CLK_TCK")).and_then(|ticks| ticks.parse().ok()).unwrap_or(100.0)
}
