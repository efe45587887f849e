//! Whether the client of a request in progress has left.
//!
//! A client that has sent its request may close its sending half and still read the response (RFC 9112, section 9.6). A client
//! that has left looks the same until the host sends it something: its side replies with a reset. So a client that has closed
//! its half and still waits after a second is sent an interim response, 100 (Continue). Clients of HTTP/1.1 must skip one that
//! they do not expect (RFC 9110, section 15.2).
//!
//! Most calls are shorter than that, and cost neither a file nor a system call.

use std::{
    future::Future,
    io::ErrorKind,
    net::TcpStream as StdStream,
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Version;
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant},
};

/// How long a call goes on before its client is watched.
const UNWATCHED: Duration = Duration::from_secs(1);
/// What a client is sent that may have left.
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What shows that a client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It has closed its sending half. Its response has no length, or its version of HTTP has no interim responses.
    HalfClosed,
    /// It resets the connection. If it has closed its half, it is sent an interim response.
    ResetAfterInterim,
    /// It resets the connection. Its response has begun, so that nothing can be sent but the rest of it.
    Reset,
}

/// Whether and how the client of the present request is watched.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    version: Version,
    response: Progress,
    /// When the client is to be watched from, until that time has come.
    from: Option<Instant>,
    is_due: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Awaited,
    WithLength,
    OpenEnded,
}

impl Default for Watch {
    fn default() -> Self {
        Self::new(Version::HTTP_11)
    }
}

impl Watch {
    /// A request has started. Its client is not watched while the body arrives: hyper notices if it ends early.
    pub fn new(version: Version) -> Self {
        Self { version, response: Progress::Awaited, from: None, is_due: false }
    }

    /// The request has arrived, and its call begins.
    pub fn begin_call(&mut self, now: Instant) {
        self.from = Some(now + UNWATCHED);
    }

    /// The response begins. Without a length, it is open-ended.
    pub fn begin_response(&mut self, is_open_ended: bool) {
        self.response = if is_open_ended { Progress::OpenEnded } else { Progress::WithLength };
    }

    /// When the client is to be watched from, unless it is already.
    pub fn starts_at(&self) -> Option<Instant> {
        self.from
    }

    /// The time that [`Watch::starts_at`] has named is here.
    pub fn start(&mut self) {
        (self.from, self.is_due) = (None, true);
    }

    /// What shows that the client has left; `None` if it is not watched. With a length, it is watched only while the call
    /// goes on: afterwards its response is written, which shows it, too.
    pub fn sign(&self, call_goes_on: bool) -> Option<Sign> {
        match self.response {
            Progress::OpenEnded => Some(Sign::HalfClosed),
            _ if !(self.is_due && call_goes_on) => None,
            Progress::Awaited if self.version < Version::HTTP_11 => Some(Sign::HalfClosed),
            Progress::Awaited => Some(Sign::ResetAfterInterim),
            Progress::WithLength => Some(Sign::Reset),
        }
    }
}

/// Watches one client. Takes a file.
#[allow(missing_debug_implementations, reason = "a future has no readable form")]
pub struct Departure {
    socket: Arc<TcpStream>,
    stage: Stage,
    /// Resolves when the next stage is reached.
    change: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_interim_sent: bool,
    _permit: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The client may send more.
    Sending,
    /// It has closed its sending half, and perhaps left.
    HalfClosed,
    /// It has reset the connection.
    Reset,
}

impl Departure {
    /// Starts to watch a client; `None` if there is no file for that.
    pub fn watch(socket: &TcpStream, watches: &Arc<Semaphore>) -> Option<Self> {
        let permit = Arc::clone(watches).try_acquire_owned().ok()?;
        let socket = StdStream::from(socket.as_fd().try_clone_to_owned().ok()?);
        let socket = Arc::new(TcpStream::from_std(socket).ok()?);
        // This interest includes the closed side, and not the bytes that hyper reads later.
        let change = wait(Arc::clone(&socket), Interest::PRIORITY);
        Some(Self { socket, stage: Stage::Sending, change, is_interim_sent: false, _permit: permit })
    }

    /// Whether the client has left, by this sign. Must be called while nothing that was written for the client waits in the
    /// host.
    pub fn poll(&mut self, context: &mut Context<'_>, sign: Sign) -> Poll<()> {
        while self.stage != Stage::Reset && self.change.as_mut().poll(context).is_ready() {
            self.stage = match self.stage {
                Stage::Sending => Stage::HalfClosed,
                Stage::HalfClosed | Stage::Reset => Stage::Reset,
            };
            self.change = wait(Arc::clone(&self.socket), Interest::ERROR);
        }
        let has_left = match (self.stage, sign) {
            (Stage::Reset, _) | (Stage::HalfClosed, Sign::HalfClosed) => true,
            (Stage::HalfClosed, Sign::ResetAfterInterim) => !self.send_interim(context),
            (Stage::HalfClosed, Sign::Reset) | (Stage::Sending, _) => false,
        };
        if has_left { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Sends one interim response, as soon as the operating system takes it. Returns whether the client may still be there.
    fn send_interim(&mut self, context: &mut Context<'_>) -> bool {
        while !self.is_interim_sent {
            match self.socket.poll_write_ready(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return false,
                Poll::Pending => return true,
            }
            match self.socket.try_write(INTERIM) {
                Ok(written) if written == INTERIM.len() => self.is_interim_sent = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Half an interim response would be taken for the start of the final one.
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }
}

fn wait(socket: Arc<TcpStream>, interest: Interest) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let _ = socket.ready(interest).await;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(watch: &Watch) -> [Option<Sign>; 2] {
        [watch.sign(true), watch.sign(false)]
    }

    #[test]
    fn a_client_is_watched_once_its_call_has_lasted() {
        let mut watch = Watch::new(Version::HTTP_11);
        assert_eq!((watch.starts_at(), signs(&watch)), (None, [None, None]));
        let now = Instant::now();
        watch.begin_call(now);
        assert_eq!((watch.starts_at(), signs(&watch)), (Some(now + UNWATCHED), [None, None]));
        watch.start();
        assert_eq!((watch.starts_at(), signs(&watch)), (None, [Some(Sign::ResetAfterInterim), None]));
        watch.begin_response(false);
        assert_eq!(signs(&watch), [Some(Sign::Reset), None]);
    }

    #[test]
    fn a_client_of_http_1_0_gets_no_interim_response() {
        let mut watch = Watch::new(Version::HTTP_10);
        watch.start();
        assert_eq!(signs(&watch), [Some(Sign::HalfClosed), None]);
    }

    #[test]
    fn a_response_without_a_length_is_watched_to_its_end() {
        let mut watch = Watch::new(Version::HTTP_11);
        watch.begin_response(true);
        assert_eq!(signs(&watch), [Some(Sign::HalfClosed); 2]);
    }
}
