//! Runtimes that keep a thread for what blocks.

use std::{io, sync::mpsc::sync_channel, time::Duration};

use tokio::runtime::{Builder, Runtime};

/// The most threads of one runtime on which something blocks at the same time: looking up names, reading files. They are kept, at
/// some 10 KB each.
const MAX_BLOCKING: usize = 16;
/// A thread is kept for as long as its runtime.
const KEPT: Duration = Duration::from_secs(u32::MAX as u64);
/// How long the first of these threads may take to begin.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A runtime for one thread that has a thread for what blocks from the beginning.
///
/// If the operating system refuses a thread later, work waits for this one. Without any, tokio would panic, and what was to run would
/// stay in its queue with all that it holds.
///
/// # Errors
///
/// If the operating system refuses the thread, or a resource that a runtime needs.
pub fn runtime() -> io::Result<Runtime> {
    // Tokio would panic.
    std::thread::Builder::new().spawn(|| ())?.join().map_err(|_| io::Error::other("a thread panicked"))?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MAX_BLOCKING)
        .thread_keep_alive(KEPT)
        .build()?;
    let (began, begins) = sync_channel(1);
    runtime.spawn_blocking(move || began.send(()));
    begins.recv_timeout(START_TIMEOUT).map_err(io::Error::other)?;
    Ok(runtime)
}
