//! The phases of the service, the signals that it handles, and those that it ignores.

use std::{io, time::Duration};

use rustix::process::Signal as UnixSignal;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::Instant,
};

/// The kernel sends SIGXFSZ for a write beyond the limit of a file's size (`ulimit -f`). The write then fails with EFBIG, which
/// is handled like a full disk.
pub const FILE_TOO_LARGE: [UnixSignal; 1] = [UnixSignal::XFSZ];
/// Signals that other programs give a meaning, such as to open their log again. Sent to this service by mistake, they must not
/// end it.
pub const WITHOUT_MEANING: [UnixSignal; 3] = [UnixSignal::USR1, UnixSignal::USR2, UnixSignal::ALARM];

/// Within this time of a signal to shut down, another one is the same signal. Some supervisors send two, and a terminal sends one to
/// each process of a group, which its supervisor then ends as well.
const REPEAT: Duration = Duration::from_secs(1);

/// A phase of the service, which passes through them in this order; a start may wait for its store more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The service listens, but has no module and no store yet: only `/health` is served.
    Starting,
    /// As before, and the start waits for a store that cannot be reached.
    AwaitingStore,
    /// As before, and the start checks the file of a store that was not closed.
    CheckingStore,
    /// Requests are served.
    Serving,
    /// Requests are still served, but `/ready` returns 503 and every response carries `Connection: close`.
    Draining,
    /// Since the given moment, no connections are accepted; requests in flight may finish.
    Stopping(Instant),
    /// Requests still in flight are cut.
    Cutting,
}

impl Phase {
    /// Whether the service is shutting down.
    pub fn is_draining(self) -> bool {
        !matches!(self, Self::Starting | Self::AwaitingStore | Self::CheckingStore | Self::Serving)
    }
}

/// The current phase, shared by all parts of the service.
#[derive(Clone, Debug)]
pub struct Lifecycle(watch::Sender<Phase>);

impl Default for Lifecycle {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Starting))
    }
}

impl Lifecycle {
    /// The current phase.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Enters `phase`.
    pub fn enter(&self, phase: Phase) {
        self.0.send_replace(phase);
    }

    /// Waits for the phase in which no more connections are accepted.
    pub async fn stopping(&self) {
        let _ =
            self.0.subscribe().wait_for(|phase| matches!(phase, Phase::Stopping(_) | Phase::Cutting)).await;
    }

    /// Observes every change of phase from now on.
    pub fn subscribe(&self) -> watch::Receiver<Phase> {
        self.0.subscribe()
    }
}

/// Lets the process survive signals whose default action would end it. From now on they have no effect.
///
/// # Errors
///
/// If the operating system refuses a handler.
pub fn survive(signals: &[UnixSignal]) -> io::Result<()> {
    // A handler stays when the stream of its signals is dropped.
    signals.iter().try_for_each(|kind| signal(SignalKind::from_raw(kind.as_raw())).map(drop))
}

/// The signals that shut the service down: SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// When the signal came that was returned last.
    last: Option<Instant>,
}

impl Signals {
    /// Installs handlers for both signals in place of their default, which terminates the process.
    ///
    /// # Errors
    ///
    /// If the operating system refuses the handler.
    pub fn install() -> io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, last: None })
    }

    /// Waits for the next signal and returns its name. A signal within a second after the one that was returned last, of either
    /// kind, repeats it and is ignored.
    pub async fn next(&mut self) -> &'static str {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
            };
            if self.last.is_none_or(|last| last.elapsed() >= REPEAT) {
                self.last = Some(Instant::now());
                return name;
            }
            tracing::debug!(event = "signal.repeated", signal = name, "signal repeated within a second");
        }
    }
}

/// The signal that reloads the component: SIGHUP.
#[derive(Debug)]
pub struct Hangup(Signal);

impl Hangup {
    /// Installs a handler in place of the default, which terminates the process. While nothing waits for the signal, it has
    /// no effect.
    ///
    /// # Errors
    ///
    /// If the operating system refuses the handler.
    pub fn install() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the signal. Several signals since the last call count as one.
    pub async fn next(&mut self) {
        // The stream does not end while the runtime exists.
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
