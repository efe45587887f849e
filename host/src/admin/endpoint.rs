//! Where operators connect: a Unix socket that only this process's user can open, or a TCP address.

use std::{
    fmt, fs,
    io::{self, ErrorKind},
    net::SocketAddr,
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
        },
    },
    path::{Path, PathBuf},
};

use rustix::process::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixListener,
    time::{Duration, sleep},
};

use crate::{
    config::{AdminConfig, AdminListen, socket_folder},
    http::listener::{self, Listener, ReservedAddress},
};

/// The mode of a socket: nobody but its owner connects.
const SOCKET_MODE: u32 = 0o600;
/// The mode bits that let the group and all other users write.
const OTHERS_WRITE: u32 = 0o022;
/// Maximum length of a socket's path, in bytes (`sun_path` of `unix(7)`, without its final zero).
const MAX_PATH: usize = 107;
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
    /// A process of this user, on a Unix socket.
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
    let unix = |path: &Path, error| format!("cannot listen on unix:{}: {error}{REMEDY}", path.display());
    match &config.admin_listen {
        AdminListen::Off => Ok(None),
        AdminListen::Tcp(address) => {
            let reserved = listener::reserve(*address);
            reserved.map(ReservedEndpoint::Tcp).map(Some).map_err(|error| tcp_failed(*address, &error))
        }
        AdminListen::Unix(path) => reserve_socket(path).map(Some).map_err(|error| unix(path, error)),
        AdminListen::Auto => {
            let Some(folder) = socket_folder() else {
                log_off(
                    "the variable XDG_RUNTIME_DIR, which names the folder of a user's sockets, is not set",
                );
                return Ok(None);
            };
            if let Err(why) = create_private(&folder) {
                log_off(&why);
                return Ok(None);
            }
            let path = folder.join(format!("{port}.sock"));
            reserve_socket(&path).map(Some).map_err(|error| unix(&path, error))
        }
    }
}

const REMEDY: &str = "; choose another place with --admin-listen";

fn tcp_failed(address: SocketAddr, error: &io::Error) -> String {
    format!("cannot listen on {address}: {error}{REMEDY}")
}

fn log_off(why: &str) {
    tracing::info!(
        event = "admin.off",
        why,
        "no admin API: modules cannot be pushed; --admin-listen sets where it listens"
    );
}

/// Binds a socket to a temporary path beside its own.
fn reserve_socket(path: &Path) -> Result<ReservedEndpoint, String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let number = getrandom::u32().map_err(|error| error.to_string())?;
    let temporary = folder.join(format!(".{number:08x}"));
    if path.as_os_str().as_bytes().len().max(temporary.as_os_str().as_bytes().len()) > MAX_PATH {
        return Err(format!("the path is too long: a socket's path has at most {MAX_PATH} bytes"));
    }
    check_unused(path)?;
    let bound = || -> io::Result<ReservedEndpoint> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(&temporary)?)?;
        let file = SocketFile::at(&temporary)?;
        // Until it listens, nobody can connect.
        fs::set_permissions(&temporary, fs::Permissions::from_mode(SOCKET_MODE))?;
        Ok(ReservedEndpoint::Unix { socket, temporary: file, path: path.to_owned() })
    };
    bound().map_err(|error| error.to_string())
}

/// Checks that a path is free, or left by a process that has ended.
fn check_unused(path: &Path) -> Result<(), String> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err("there is a file of that name that is no socket".to_owned())
        }
        Ok(_) if is_answered(path) => Err("another process listens there".to_owned()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a process listens on a socket. Never waits.
pub fn is_answered(path: &Path) -> bool {
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match connect() {
        Ok(()) => true,
        // Its queue is full; or it belongs to somebody else.
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::PermissionDenied),
    }
}

/// Creates the folder of this user's sockets, unless it exists.
fn create_private(folder: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("{} cannot be created: {error}", folder.display());
    if let Some(parent) = folder.parent() {
        check_private(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(error)),
        Ok(()) | Err(_) => check_private(folder),
    }
}

/// Checks that a folder belongs to this process's user, and that no other user can write to it, so that its sockets are what
/// their names say.
///
/// # Errors
///
/// One line that says what is wrong with it.
pub fn check_private(folder: &Path) -> Result<(), String> {
    let name = folder.display();
    let metadata = fs::symlink_metadata(folder).map_err(|error| format!("{name}: {error}"))?;
    if !metadata.is_dir() {
        return Err(format!("{name} is not a folder"));
    }
    let (owner, own) = (metadata.uid(), geteuid().as_raw());
    if owner != own {
        return Err(format!("{name} belongs to user {owner}, not to user {own}, the user of this process"));
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        return Err(format!("others can write to {name}: remove this permission with `chmod go-w`"));
    }
    Ok(())
}

/// The name of a socket of this process; removed when dropped, unless another process has taken it over.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }

    /// Renames the socket, in one step, over what had that name.
    fn rename(mut self, path: PathBuf) -> io::Result<Self> {
        fs::rename(&self.path, &path)?;
        self.path = path;
        Ok(self)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
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
                let listen = || {
                    socket.listen(BACKLOG)?;
                    let listener = UnixListener::from_std(socket.into())?;
                    Ok(Endpoint::Unix { listener, file: temporary.rename(path.clone())? })
                };
                listen().map_err(|error: io::Error| {
                    format!("cannot listen on unix:{}: {error}{REMEDY}", path.display())
                })
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
