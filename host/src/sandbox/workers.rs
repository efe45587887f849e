//! Threads that each have their own runtime. A task stays on one thread.
//!
//! Some serve connections: a request is read, run and responded to on one thread, and wakes no other thread. Compared with one
//! runtime that moves tasks between its threads, this gives 8 to 9 % more creates per second on two processors.
//!
//! Others are background threads, on which calls continue that compute for long. They have a lower priority, so that these
//! calls do not hold up the connections.

use std::{
    future::Future,
    io,
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread,
};

use rustix::process::setpriority_process;
use tokio::{runtime::Handle, sync::oneshot, task::JoinHandle};

use crate::lifecycle::{blocking, essential::Essential};

/// The niceness of background threads.
const NICENESS: i32 = 10;

/// The threads. When this is dropped, they end, and the tasks that still run on them are cancelled.
#[derive(Debug)]
pub struct Workers {
    first: Worker,
    others: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// The number of tasks that have not ended.
    tasks: Arc<AtomicUsize>,
    #[allow(dead_code, reason = "held for its drop, which ends the thread")]
    stop: oneshot::Sender<()>,
}

impl Workers {
    /// Starts threads that serve connections.
    ///
    /// # Errors
    ///
    /// If the operating system refuses a thread, or a resource that a runtime needs.
    pub fn start(count: NonZeroU16) -> io::Result<Self> {
        Self::start_each(count, |index| Worker::start(format!("worker-{index}"), 0))
    }

    /// Starts background threads.
    ///
    /// # Errors
    ///
    /// As for [`Workers::start`].
    pub fn start_in_background(count: NonZeroU16) -> io::Result<Self> {
        Self::start_each(count, |index| Worker::start(format!("background-{index}"), NICENESS))
    }

    fn start_each(count: NonZeroU16, start: impl Fn(u16) -> io::Result<Worker>) -> io::Result<Self> {
        let first = start(0)?;
        let others = (1..count.get()).map(start).collect::<io::Result<_>>()?;
        Ok(Self { first, others })
    }

    /// Whether a task is running or waiting on any of the threads.
    pub fn is_busy(&self) -> bool {
        self.all().any(|worker| worker.tasks.load(Ordering::Relaxed) > 0)
    }

    fn all(&self) -> impl Iterator<Item = &Worker> {
        self.others.iter().chain([&self.first])
    }

    /// Runs a task on the thread that has the fewest tasks.
    pub fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let worker = self.all().min_by_key(|worker| worker.tasks.load(Ordering::Relaxed));
        let worker = worker.unwrap_or(&self.first);
        let counted = Counted::new(&worker.tasks);
        worker.runtime.spawn(async move {
            let output = task.await;
            drop(counted);
            output
        })
    }
}

impl Worker {
    fn start(name: String, niceness: i32) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (tell, started) = sync_channel(1);
        thread::Builder::new().name(name).spawn(move || {
            // Here, because a runtime must not be dropped in a task of another one, such as after a failure.
            let runtime = match blocking::runtime() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            let _ = tell.send(Ok(runtime.handle().clone()));
            let _essential = Essential("a thread that serves");
            if niceness > 0 {
                // On Linux, each thread has its own priority. If it cannot be set, the threads share the processors equally.
                let _ = setpriority_process(None, niceness);
            }
            // The result is an error, because the sender is never used, only dropped.
            let _ = runtime.block_on(stopped);
        })?;
        let runtime = started.recv().map_err(io::Error::other)??;
        Ok(Self { runtime, tasks: Arc::default(), stop })
    }
}

/// Counts one task until it ends or is cancelled.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(tasks: &Arc<AtomicUsize>) -> Self {
        tasks.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(tasks))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, num::NonZeroU16, thread};

    use tokio::sync::{mpsc, oneshot};

    use super::Workers;

    #[tokio::test]
    async fn a_task_goes_to_the_thread_with_the_fewest_tasks() {
        let workers = Workers::start(NonZeroU16::new(2).unwrap()).unwrap();
        let (begun, mut begins) = mpsc::channel(8);
        let spawn = || {
            let begun = begun.clone();
            workers.spawn(async move {
                begun.send(thread::current().id()).await.unwrap();
                pending::<()>().await;
            });
        };
        for _ in 0..3 {
            spawn();
            spawn();
            let (one, other) = (begins.recv().await.unwrap(), begins.recv().await.unwrap());
            assert_ne!(one, other);
        }
    }

    #[tokio::test]
    async fn dropping_the_workers_cancels_their_tasks() {
        let workers = Workers::start(NonZeroU16::MIN).unwrap();
        let (alive, ended) = oneshot::channel::<()>();
        workers.spawn(async move {
            pending::<()>().await;
            drop(alive);
        });
        drop(workers);
        assert!(ended.await.is_err());
    }
}
