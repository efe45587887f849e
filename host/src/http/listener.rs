//! The socket that accepts connections. It is bound before it listens, and closes without losing a client that has
//! already connected.

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
        activity::{InFlightCount, Timeouts},
        connection,
        final_response::FinalResponse,
        reading::MAX_UNSENT,
        rejection::Rejection,
        service::{Admission, Service},
    },
    module::hash::ModuleHash,
    sandbox::workers::Workers,
};

/// Maximum number of connections that the kernel completes and queues until the host accepts them.
const BACKLOG: i32 = 1024;
/// How long to wait after an accept has failed, for example because the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Number of connections served beyond the limit, for health probes and for the response that reports the limit.
const SPARE_CONNECTIONS: u16 = 64;
/// File descriptors other than those of connections: the store, the log, the runtime.
const OTHER_FILES: u64 = 64;
/// How long a TCP handshake may take to finish when the listener closes: a round trip, with a margin.
const HANDSHAKE: Duration = Duration::from_millis(100);
/// Maximum number of bytes that are read and discarded from a client beyond the spare connections.
const DISCARD: usize = 4096;
/// A program for the kernel's packet filter: drop packets with the SYN bit, which opens a connection, and keep all
/// others. It is the second bit of byte 13 of a TCP header (RFC 9293, section 3.1).
const NO_NEW_CONNECTIONS: [SockFilter; 4] = [
    SockFilter::new(0x30, 0, 0, 13),       // load the byte at 13
    SockFilter::new(0x45, 0, 1, 0x02),     // if the bit is not set, skip one instruction
    SockFilter::new(0x06, 0, 0, 0),        // keep 0 bytes
    SockFilter::new(0x06, 0, 0, u32::MAX), // keep all bytes
];

/// The connections that a process must be able to have open at the same time.
#[derive(Clone, Copy, Debug)]
pub struct MaxConnections {
    /// From clients.
    pub clients: u16,
    /// From clients that are watched during a call or a response without a length; each takes one more file.
    pub watched: u16,
    /// On the admin port; 0 without one.
    pub operators: usize,
}

/// Raises this process's limit of open files, if necessary, so that it can have these connections.
///
/// # Errors
///
/// One line that names the remedy, if the operating system does not allow that many.
pub fn raise_open_file_limit(connections: MaxConnections) -> Result<(), String> {
    let MaxConnections { clients, watched, operators } = connections;
    let for_clients = u64::from(clients) + u64::from(SPARE_CONNECTIONS) + u64::from(watched) + OTHER_FILES;
    let needed = for_clients.saturating_add(u64::try_from(operators).unwrap_or(u64::MAX));
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.maximum.is_some_and(|maximum| maximum < needed) || setrlimit(Resource::Nofile, raised).is_err() {
        let allowed = limit.maximum.unwrap_or_default();
        let (admin, off) = match operators {
            0 => (String::new(), ""),
            _ => (format!(", {operators} of them for the admin port"), ", or set --admin-listen off"),
        };
        return Err(format!(
            "{needed} open files are needed{admin}, but this process may have {allowed}: raise that limit (ulimit -n), \
             lower --max-connections or --max-concurrent{off}"
        ));
    }
    Ok(())
}

/// A bound socket that does not listen yet: the address is taken, but clients cannot connect.
#[derive(Debug)]
pub struct ReservedAddress {
    socket: Socket,
    address: SocketAddr,
}

/// Binds a socket to an address without listening on it.
///
/// # Errors
///
/// If the address is in use, or does not belong to this machine.
pub fn reserve(address: SocketAddr) -> io::Result<ReservedAddress> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // After a quick restart, connections of the previous process may linger in the kernel.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(ReservedAddress { socket, address })
}

impl ReservedAddress {
    /// The address that was requested. Its port may be 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to listen. From now on clients can connect; [`Listener::run`] serves them.
    ///
    /// # Errors
    ///
    /// If another socket has started to listen on the same address.
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
    /// The address on which it listens.
    pub address: SocketAddr,
}

impl Listener {
    /// Waits for the next connection. Logs an accept that fails, and waits for another connection.
    pub async fn accept(&self) -> TcpStream {
        loop {
            match self.socket.accept().await {
                Ok((socket, _)) => return socket,
                Err(error) => {
                    tracing::warn!(event = "connection.accept_failed", %error, "cannot accept a connection");
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
        connections.wait_until_closed().await;
    }

    /// Stops listening. Closing the socket resets connections that the kernel has completed, or is about to complete,
    /// and that the host has not accepted. Therefore a packet filter first drops new connections, and the pending ones
    /// are awaited and accepted. A client that connects in the meantime gets no reply; when it retries, its connection
    /// is refused.
    async fn close(self, connections: &Connections) {
        if let Err(error) = SockRef::from(&self.socket).attach_filter(&NO_NEW_CONNECTIONS) {
            tracing::debug!(
                event = "drain.filter_failed", %error,
                "cannot attach the packet filter: connections may be reset while the listener closes"
            );
        }
        let _ = timeout(HANDSHAKE, async {
            while let Ok((socket, _)) = self.socket.accept().await {
                connections.open(socket);
            }
        })
        .await;
        // Accepting through the runtime would miss connections that it has not been notified of yet.
        let Ok(socket) = self.socket.into_std() else { return };
        loop {
            match socket.accept() {
                Ok((socket, _)) => {
                    let socket = socket.set_nonblocking(true).and_then(|()| TcpStream::from_std(socket));
                    if let Ok(socket) = socket {
                        connections.open(socket);
                    }
                }
                // This client has already disconnected; others may still wait.
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(_) => return,
            }
        }
    }
}

/// The open connections, and what is needed to serve them.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct Connections {
    workers: Arc<Workers>,
    service: Arc<Service>,
    timeouts: Timeouts,
    in_flight: InFlightCount,
    watches: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    max_permits: u16,
    spare_permits: Arc<Semaphore>,
}

impl Connections {
    /// Starts without connections, and allows at most so many at the same time.
    pub fn new(
        workers: Arc<Workers>,
        service: Arc<Service>,
        timeouts: Timeouts,
        in_flight: InFlightCount,
        MaxConnections { clients: max, watched, .. }: MaxConnections,
    ) -> Self {
        Self {
            workers,
            service,
            timeouts,
            in_flight,
            watches: Arc::new(Semaphore::new(watched.into())),
            permits: Arc::new(Semaphore::new(max.into())),
            max_permits: max,
            spare_permits: Arc::new(Semaphore::new(SPARE_CONNECTIONS.into())),
        }
    }

    fn open(&self, socket: TcpStream) {
        let Some((permit, admission)) = self.acquire_permit() else {
            reject_connection(socket, self.service.module());
            return;
        };
        // A response is written in one piece, so Nagle's algorithm would only delay it.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(event = "connection.lost", %error, "connection lost before it was served");
            return;
        }
        // What a client does not read waits where its memory is limited. Without this, the operating system may take megabytes.
        let _ = SockRef::from(&socket).set_tcp_notsent_lowat(MAX_UNSENT);
        // The socket moves from the runtime that accepted it to the runtime of a worker.
        let Ok(socket) = socket.into_std() else { return };
        let (service, timeouts) = (Arc::clone(&self.service), self.timeouts);
        let (in_flight, watches) = (self.in_flight.clone(), Arc::clone(&self.watches));
        self.workers.spawn(async move {
            match TcpStream::from_std(socket) {
                Ok(socket) => {
                    connection::serve(socket, service, admission, timeouts, in_flight, watches).await;
                }
                Err(error) => {
                    tracing::warn!(event = "connection.unservable", %error, "cannot serve a connection");
                }
            }
            drop(permit);
        });
    }

    fn acquire_permit(&self) -> Option<(OwnedSemaphorePermit, Admission)> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some((permit, Admission::Full));
        }
        let permit = Arc::clone(&self.spare_permits).try_acquire_owned().ok()?;
        Some((permit, Admission::HealthOnly))
    }

    async fn wait_until_closed(&self) {
        let _ = self.permits.acquire_many(self.max_permits.into()).await;
        let _ = self.spare_permits.acquire_many(SPARE_CONNECTIONS.into()).await;
    }
}

/// Rejects a client beyond the spare connections. Never waits, because that would delay the next accept.
fn reject_connection(socket: TcpStream, module: Option<ModuleHash>) {
    let response = FinalResponse::new(Rejection::TooManyConnections, module);
    let bytes = response.to_bytes();
    // The runtime has not yet registered the socket as writable, so the response is written without the runtime.
    let Ok(mut socket) = socket.into_std() else { return };
    if socket.write(&bytes).is_ok_and(|written| written == bytes.len()) {
        response.sent();
    }
    // Closing a socket with unread bytes resets the connection, so what the client has sent already is read.
    let _ = socket.shutdown(Shutdown::Write);
    let mut discarded = [0; DISCARD];
    let _ = socket.read(&mut discarded);
}
