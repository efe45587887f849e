//! Where operators connect: a Unix socket that only this process's user can open, or a TCP address.

use std::{
    fmt, io,
    net::SocketAddr,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use socket2::Socket;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixListener,
    time::{Duration, sleep},
};

use super::unix::{SocketFile, bind, check_length, check_unused, create_private};
use crate::{
    config::{AdminConfig, AdminListen, socket_folder},
    http::listener::{self, Listener, ReservedAddress},
};

/// Maximum number of connections that the kernel queues until the host accepts them.
const BACKLOG: i32 = 128;
/// How long to wait after an accept has failed, for example because the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection of an operator, whatever its kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + AsFd + fmt::Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + AsFd + fmt::Debug + Send + Unpin> Stream for S {}

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// A TCP client.
    Address(SocketAddr),
    /// A process on this machine, by its user: the one of this process, or root.
    User(u32),
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::User(user) => write!(f, "uid:{user}"),
        }
    }
}

/// An address or a path that is taken, on which nobody can connect yet.
#[derive(Debug)]
pub enum ReservedEndpoint {
    /// A TCP address.
    Tcp(ReservedAddress),
    /// A Unix socket, which gets this path once it listens.
    Unix {
        /// The socket, bound to a temporary path.
        socket: Socket,
        /// Its temporary path.
        temporary: SocketFile,
        /// Its final path.
        path: PathBuf,
    },
}

/// Reserves the endpoint of the admin API, if there is one. `port` is the service's own. Logs why there is none, unless it was
/// turned off.
///
/// # Errors
///
/// One line, if it is in use, or cannot be used.
pub fn reserve(config: &AdminConfig, port: u16) -> Result<Option<ReservedEndpoint>, String> {
    let unix = |path: &Path| match bind(path) {
        Ok((socket, temporary)) => {
            Ok(Some(ReservedEndpoint::Unix { socket, temporary, path: path.to_owned() }))
        }
        Err(why) => Err(unix_failed(path, &why)),
    };
    match &config.admin_listen {
        AdminListen::Off => Ok(None),
        AdminListen::Tcp(address) => {
            let reserved = listener::reserve(*address);
            reserved.map(ReservedEndpoint::Tcp).map(Some).map_err(|error| tcp_failed(*address, &error))
        }
        AdminListen::Unix(path) => unix(path),
        AdminListen::Auto => {
            let usable = socket_folder().and_then(|folder| {
                let path = folder.join(format!("{port}.sock"));
                check_length(&path)?;
                create_private(&folder)?;
                Ok(path)
            });
            match usable {
                Ok(path) => unix(&path),
                Err(why) => {
                    log_off(&why);
                    Ok(None)
                }
            }
        }
    }
}

const REMEDY: &str = "; choose another place with --admin-listen";

fn tcp_failed(address: SocketAddr, error: &io::Error) -> String {
    format!("cannot listen on {address}: {error}{REMEDY}")
}

fn unix_failed(path: &Path, why: &str) -> String {
    format!("cannot listen on unix:{}: {why}{REMEDY}", path.display())
}

fn log_off(why: &str) {
    tracing::info!(
        event = "admin.off",
        why,
        "no admin API: modules cannot be pushed; --admin-listen sets where it listens"
    );
}

impl ReservedEndpoint {
    /// Starts to listen. From now on operators can connect.
    ///
    /// # Errors
    ///
    /// One line, if the address or the path was taken meanwhile.
    pub fn listen(self) -> Result<Endpoint, String> {
        match self {
            Self::Tcp(reserved) => {
                let address = reserved.address();
                reserved.listen().map(Endpoint::Tcp).map_err(|error| tcp_failed(address, &error))
            }
            Self::Unix { socket, temporary, path } => {
                // Another process may have taken it since: a start may wait for its store for minutes.
                check_unused(&path).map_err(|why| unix_failed(&path, &why))?;
                let listen = || {
                    socket.listen(BACKLOG)?;
                    let listener = UnixListener::from_std(socket.into())?;
                    Ok(Endpoint::Unix { listener, file: temporary.rename(path.clone())? })
                };
                listen().map_err(|error: io::Error| unix_failed(&path, &error.to_string()))
            }
        }
    }
}

/// A socket that operators can connect to.
#[derive(Debug)]
pub enum Endpoint {
    /// On TCP.
    Tcp(Listener),
    /// On a path.
    Unix {
        /// The socket.
        listener: UnixListener,
        /// Its path.
        file: SocketFile,
    },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => listener.address.fmt(f),
            Self::Unix { file, .. } => write!(f, "unix:{}", file.path.display()),
        }
    }
}

impl Endpoint {
    /// Waits for the next connection. The client is unknown if it has disconnected.
    pub(super) async fn accept(&self) -> (Box<dyn Stream>, Option<Client>) {
        let listener = match self {
            Self::Tcp(listener) => {
                let socket = listener.accept().await;
                let client = socket.peer_addr().ok().map(Client::Address);
                return (Box::new(socket), client);
            }
            Self::Unix { listener, .. } => listener,
        };
        loop {
            match listener.accept().await {
                Ok((socket, _)) => {
                    let client = socket.peer_cred().ok().map(|peer| Client::User(peer.uid()));
                    return (Box::new(socket), client);
                }
                Err(error) => {
                    tracing::warn!(event = "connection.accept_failed", %error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
