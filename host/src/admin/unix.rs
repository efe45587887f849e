//! The path of a Unix socket: nobody but its owner can connect, and a path that is used is never taken over.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::MAX_SOCKET_PATH;

/// The mode of a socket: nobody but its owner connects.
const SOCKET_MODE: u32 = 0o600;
/// The mode bits that let the group and all other users write.
const OTHERS_WRITE: u32 = 0o022;

/// What the name of a temporary socket begins with.
const TEMPORARY: &str = ".orders-";
/// The hexadecimal digits that follow.
const TEMPORARY_DIGITS: usize = 8;
/// Maximum length of the path of a socket's folder, in bytes: a temporary name fits into it.
const MAX_FOLDER: usize = MAX_SOCKET_PATH - 1 - TEMPORARY.len() - TEMPORARY_DIGITS;
/// No start takes longer than this.
const LONGEST_START: Duration = Duration::from_secs(24 * 60 * 60);

/// Binds a socket to a temporary path beside its own, which must be free.
///
/// # Errors
///
/// One line, without the path.
pub(super) fn bind(path: &Path) -> Result<(Socket, SocketFile), String> {
    let number = getrandom::u32().map_err(|error| error.to_string())?;
    let temporary = temporary_name(path, number);
    check_length(path)?;
    check_unused(path)?;
    remove_left_over(&temporary);
    let bound = || -> io::Result<_> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(&temporary)?)?;
        let file = SocketFile::at(&temporary)?;
        // Until it listens, nobody can connect.
        fs::set_permissions(&temporary, fs::Permissions::from_mode(SOCKET_MODE))?;
        Ok((socket, file))
    };
    bound().map_err(|error| error.to_string())
}

/// The temporary name of a socket, beside its own.
fn temporary_name(path: &Path, number: u32) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.join(format!("{TEMPORARY}{number:0TEMPORARY_DIGITS$x}"))
}

/// Checks that a socket can have this path, and its temporary name.
pub(super) fn check_length(path: &Path) -> Result<(), String> {
    let length = |path: &Path| path.as_os_str().as_bytes().len();
    if length(path).max(length(&temporary_name(path, 0))) > MAX_SOCKET_PATH {
        return Err(format!(
            "the path is too long: a socket's path has at most {MAX_SOCKET_PATH} bytes, and that of its folder {MAX_FOLDER}"
        ));
    }
    Ok(())
}

/// Removes the temporary sockets of processes that were killed during their start. One that is still starting has bound its
/// socket without listening on it, so only old ones go.
fn remove_left_over(beside: &Path) {
    let is_left_over = |entry: &fs::DirEntry| -> Option<bool> {
        let is_temporary = entry.file_name().to_str()?.starts_with(TEMPORARY);
        let metadata = entry.metadata().ok()?;
        let age = metadata.modified().ok()?.elapsed().ok()?;
        Some(is_temporary && metadata.file_type().is_socket() && age > LONGEST_START)
    };
    let folder = beside.parent().unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_left_over(&entry) == Some(true) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Checks that a path is free, or left by a process that has ended.
pub(super) fn check_unused(path: &Path) -> Result<(), String> {
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
pub(super) fn create_private(folder: &Path) -> Result<(), String> {
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
    if metadata.is_symlink() {
        return Err(format!("{name} is a symbolic link; name its target instead"));
    }
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
    pub(super) path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }

    /// Renames the socket, in one step, over what had that name.
    pub(super) fn rename(mut self, path: PathBuf) -> io::Result<Self> {
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
