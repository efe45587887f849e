//! Memory and processor time of a running contender.

use std::{fs, process::Command};

use xtask::{command::output, serving::Serving};

/// The resource usage of a process, by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage(i32);

impl Usage {
    /// The usage of a process that serves.
    pub(crate) fn of(serving: &Serving) -> Self {
        Self(serving.process.id())
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        self.memory("VmRSS:")
    }

    /// Peak resident memory in MiB since the last [`reset_peak`](Self::reset_peak).
    pub(crate) fn peak(&self) -> f64 {
        self.memory("VmHWM:")
    }

    /// Resets the peak.
    pub(crate) fn reset_peak(&self) {
        // Where this is not permitted, the peak is that of the process's whole life, never less than the one wanted.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.0), "5");
    }

    /// Processor time so far, in microseconds.
    pub(crate) fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        // The fields from the third on (proc_pid_stat(5)): they follow the name, which may contain anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let times = fields.split_whitespace().skip(11).take(2);
        let ticks: f64 = times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        let per_second = output(Command::new("getconf").arg("CLK_TCK")).and_then(|ticks| ticks.parse().ok());
        ticks * 1_000_000.0 / per_second.unwrap_or(100.0)
    }

    fn memory(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
        kib.and_then(|kib| kib.parse::<f64>().ok()).map_or(f64::NAN, |kib| kib / 1024.0)
    }
}
