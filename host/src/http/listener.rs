//! The socket that accepts connections: reserved early, opened when everything else is ready, closed without
//! losing a client that has already connected.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener as StdListener},
    sync::Arc,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, timeout},
};

use crate::{
    http::{
        clock::{BusyCount, Patience},
        connection,
        refusal::Refusal,
        reject::Reject,
        service::{Admission, Service},
        workers::Workers,
    },
    module::hash::ModuleHash,
};

/// Connections that the kernel completes and keeps for us while we are busy accepting others.
const BACKLOG: i32 = 1024;
/// How long to wait after accepting failed, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections served beyond the limit, to be told so, and to have the health asked on.
const SPARE_CONNECTIONS: u16 = 64;
/// File descriptors beside those of connections: the store, the log, the runtime.
const OTHER_FILES: u64 = 64;
/// How long a handshake that has begun may take to end when the listener closes: a round trip, and some more.
const HANDSHAKE: Duration = Duration::from_millis(100);
/// Bytes read of what a client beyond all places has sent.
const UNWANTED: usize = 4096;
/// A program for the packet filter: drop what has the SYN bit, which begins a connection; keep all else. The
/// bit is the second of byte 13 of a TCP header (RFC 9293, section 3.1).
const NO_NEW_CONNECTIONS: [SockFilter; 4] = [
    SockFilter::new(0x30, 0, 0, 13),       // load the byte at 13
    SockFilter::new(0x45, 0, 1, 0x02),     // is the bit set? else skip one
    SockFilter::new(0x06, 0, 0, 0),        // keep 0 bytes
    SockFilter::new(0x06, 0, 0, u32::MAX), // keep all bytes
];

/// Raises this process's limit of open files, if it has to be, so that `connections` at once can be served.
///
/// # Errors
///
/// One line that says what would be right, if the operating system does not allow that many.
pub fn make_room_for(connections: u16) -> Result<(), String> {
    let needed = u64::from(connections) + u64::from(SPARE_CONNECTIONS) + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.maximum.is_some_and(|maximum| maximum < needed) || setrlimit(Resource::Nofile, raised).is_err() {
        return Err(format!(
            "{connections} connections need {needed} open files, and this process may have {}; raise that limit \
             (ulimit -n), or lower --max-connections",
            limit.maximum.unwrap_or_default()
        ));
    }
    Ok(())
}

/// An address that is ours, though nobody can connect to it yet.
#[derive(Debug)]
pub struct Reserved {
    socket: Socket,
    address: SocketAddr,
}

/// Takes an address without listening on it.
///
/// # Errors
///
/// If it is in use, or is not one of this machine.
pub fn reserve(address: SocketAddr) -> io::Result<Reserved> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart may follow at once: connections of the one before may linger in the kernel.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(Reserved { socket, address })
}

impl Reserved {
    /// The address, as it was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to listen. From here on clients can connect; [`Listener::run`] serves them.
    ///
    /// # Errors
    ///
    /// If another socket has begun to listen on the same address.
    pub fn listen(self) -> io::Result<Listener> {
        self.socket.listen(BACKLOG)?;
        let socket = TcpListener::from_std(StdListener::from(self.socket))?;
        Ok(Listener { address: socket.local_addr()?, socket })
    }
}

/// A socket that clients can connect to.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Listener {
    /// Waits for the next connection. One that fails is told, and another awaited.
    pub async fn accept(&self) -> TcpStream {
        loop {
            match self.socket.accept().await {
                Ok((socket, _)) => return socket,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Accepts connections until the service stops, then waits until all are closed.
    pub async fn run(self, connections: Connections) {
        let mut stops = std::pin::pin!(connections.service.lifecycle.stopping());
        loop {
            tokio::select! {
                socket = self.accept() => connections.open(socket),
                () = &mut stops => break,
            }
        }
        self.close(&connections).await;
        connections.all_closed().await;
    }

    /// Stops listening. Closing the socket resets the connections that the kernel has completed, or is about
    /// to, and that nobody has accepted. So new ones are turned away first, and those under way are awaited and
    /// accepted. A client that begins to connect meanwhile gets no answer; it tries again, and is refused.
    async fn close(self, connections: &Connections) {
        if let Err(error) = SockRef::from(&self.socket).attach_filter(&NO_NEW_CONNECTIONS) {
            tracing::debug!(%error, "connections made in this very moment may be reset");
        }
        let _ = timeout(HANDSHAKE, async {
            while let Ok((socket, _)) = self.socket.accept().await {
                connections.open(socket);
            }
        })
        .await;
        // Accepting through the runtime would miss what it has not been told of yet.
        let Ok(waiting) = self.socket.into_std() else { return };
        loop {
            match waiting.accept() {
                Ok((socket, _)) => {
                    let socket = socket.set_nonblocking(true).and_then(|()| TcpStream::from_std(socket));
                    if let Ok(socket) = socket {
                        connections.open(socket);
                    }
                }
                // That one has left again; the next may not have.
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(_) => return,
            }
        }
    }
}

/// The connections that are open, and what serves them.
#[allow(missing_debug_implementations, reason = "linked code has nothing to show")]
pub struct Connections {
    workers: Workers,
    service: Arc<Service>,
    patience: Patience,
    busy: BusyCount,
    places: Arc<Semaphore>,
    max_places: u16,
    spare: Arc<Semaphore>,
}

impl Connections {
    /// None yet, and at most `max` at once.
    pub fn new(
        workers: Workers,
        service: Arc<Service>,
        patience: Patience,
        busy: BusyCount,
        max: u16,
    ) -> Self {
        Self {
            workers,
            service,
            patience,
            busy,
            places: Arc::new(Semaphore::new(max.into())),
            max_places: max,
            spare: Arc::new(Semaphore::new(SPARE_CONNECTIONS.into())),
        }
    }

    fn open(&self, socket: TcpStream) {
        let Some((place, admission)) = self.place() else {
            turn_away(socket, self.service.slot.module());
            return;
        };
        // An answer is written in one piece: waiting for more would only delay it.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it was served");
            return;
        }
        // It was accepted by one runtime, and is served by another.
        let Ok(socket) = socket.into_std() else { return };
        let (service, patience, busy) = (Arc::clone(&self.service), self.patience, self.busy.clone());
        self.workers.spawn(async move {
            match TcpStream::from_std(socket) {
                Ok(socket) => connection::serve(socket, service, admission, patience, busy).await,
                Err(error) => tracing::warn!(%error, "a connection cannot be served"),
            }
            drop(place);
        });
    }

    fn place(&self) -> Option<(OwnedSemaphorePermit, Admission)> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some((place, Admission::Full));
        }
        let place = Arc::clone(&self.spare).try_acquire_owned().ok()?;
        Some((place, Admission::HealthOnly))
    }

    async fn all_closed(&self) {
        let _ = self.places.acquire_many(self.max_places.into()).await;
        let _ = self.spare.acquire_many(SPARE_CONNECTIONS.into()).await;
    }
}

/// Tells a client beyond even the spare places that it is one too many, without waiting for anything: accepting
/// goes on after this.
fn turn_away(socket: TcpStream, module: ModuleHash) {
    let refusal = Refusal::new(Reject::TooManyConnections, module);
    let bytes = refusal.bytes();
    // Through the runtime it could not be written before the runtime has been told that it can.
    let Ok(mut socket) = socket.into_std() else { return };
    if socket.write(&bytes).is_ok_and(|written| written == bytes.len()) {
        refusal.sent();
    }
    // What has been asked already is read, for closing over it would reset the connection.
    let _ = socket.shutdown(Shutdown::Write);
    let mut unwanted = [0; UNWANTED];
    let _ = socket.read(&mut unwanted);
}
