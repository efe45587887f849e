//! The phases of the service's life, and the signals that move it on.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::Instant,
};

/// Where the service is in its life. It goes through the phases in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Requests are served.
    Serving,
    /// Requests are still served, but `/ready` says no and every answer asks the client to go elsewhere.
    Draining,
    /// No connection is accepted any more; what is under way may end. Since the given moment.
    Stopping(Instant),
    /// What is still under way is cut.
    Cutting,
}

/// The phase the service is in, shared by all its parts.
#[derive(Clone, Debug)]
pub struct Lifecycle(watch::Sender<Phase>);

impl Default for Lifecycle {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }
}

impl Lifecycle {
    /// The present phase.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Moves on to `phase`.
    pub fn enter(&self, phase: Phase) {
        self.0.send_replace(phase);
    }

    /// Waits until no more connections are to be accepted.
    pub async fn stopping(&self) {
        let _ =
            self.0.subscribe().wait_for(|phase| matches!(phase, Phase::Stopping(_) | Phase::Cutting)).await;
    }

    /// Sees every change of phase from here on.
    pub fn subscribe(&self) -> watch::Receiver<Phase> {
        self.0.subscribe()
    }
}

/// The signals that ask the service to end: SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes over both signals from their default, which ends the process at once.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn take_over() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next of them, and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The signal that asks for the component to be read again: SIGHUP.
#[derive(Debug)]
pub struct Hangup(Signal);

impl Hangup {
    /// Takes the signal over from its default, which ends the process at once. Where nobody waits for it any more, it
    /// does nothing.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn take_over() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for it. However often it came since the last time, that is once.
    pub async fn next(&mut self) {
        // It has no end as long as there is a runtime.
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
