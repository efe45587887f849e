//! Runtimes that keep a thread for what blocks.

use std::{
    io,
    sync::{Arc, Barrier, mpsc::sync_channel},
    thread,
    time::Duration,
};

use rustix::io::Errno;
use tokio::runtime::{Builder, Runtime};

/// The most threads of one runtime on which something blocks at the same time: looking up names, reading files. They are kept, at
/// some 10 KB each.
const MAX_BLOCKING: usize = 16;
/// A thread is kept for as long as its runtime.
const KEPT: Duration = Duration::from_secs(u32::MAX as u64);
/// How many of them there are from the beginning: what a smoke request blocks on may wait for what its component blocks on.
const KEPT_FROM_START: usize = 2;
/// How long each of these may take to begin.
const START_TIMEOUT: Duration = Duration::from_secs(10);

const OPEN_FILES: &str = "a limit is reached: of open files (`ulimit -n`, LimitNOFILE= of systemd)";
const THREADS: &str = "a limit may be reached: of threads (`ulimit -u`, TasksMax= of systemd, pids.max of a container) or of \
     address space (`ulimit -v`)";

/// Why a thread was refused, and which limit to look at.
pub fn refused(error: &io::Error) -> String {
    let limit = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE) => OPEN_FILES,
        _ => THREADS,
    };
    format!("{error}; {limit}")
}

/// A runtime for one thread that has threads for what blocks from the beginning.
///
/// If the operating system refuses a thread later, work waits for one of these. Without any, tokio would panic, and what was to run would
/// stay in its queue with all that it holds.
///
/// # Errors
///
/// If the operating system refuses a thread, or a resource that a runtime needs.
pub fn runtime() -> io::Result<Runtime> {
    // Tokio would panic. All at once, as tokio will have them.
    thread::scope(|scope| {
        let mut tried = Vec::new();
        for _ in 0..KEPT_FROM_START {
            tried.push(thread::Builder::new().spawn_scoped(scope, || ())?);
        }
        Ok::<_, io::Error>(())
    })?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MAX_BLOCKING)
        .thread_keep_alive(KEPT)
        .build()?;
    // All of them wait for each other, so that each has a thread.
    let all = Arc::new(Barrier::new(KEPT_FROM_START));
    let (began, begins) = sync_channel(KEPT_FROM_START);
    for _ in 0..KEPT_FROM_START {
        let (all, began) = (Arc::clone(&all), began.clone());
        runtime.spawn_blocking(move || {
            all.wait();
            began.send(())
        });
    }
    for _ in 0..KEPT_FROM_START {
        begins.recv_timeout(START_TIMEOUT).map_err(io::Error::other)?;
    }
    Ok(runtime)
}
