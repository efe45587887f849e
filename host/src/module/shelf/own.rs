//! A folder and files that are this process's own: of its user, and such that nobody else can have written them.

use std::{
    fs::{self, DirBuilder, File, Metadata, TryLockError},
    io::{self, ErrorKind, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::geteuid,
};

use crate::module::file::{self, SECRET};

/// The file whose lock is that of the folder.
const LOCK: &str = "lock";
/// The bits of a mode that let others write: group and everybody.
const OTHERS_WRITE: u32 = 0o022;

/// Makes a folder if it is missing, for this process's user alone, and locks it: until the file that is given is
/// closed, however the process ends. The folder is given as it is named without links.
///
/// # Errors
///
/// One line, without the folder's name: it cannot be made or used, is not our own, or another process uses it.
pub(super) fn claim(folder: &Path) -> Result<(PathBuf, File), String> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {
            let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
            file::sync_folder(above.unwrap_or(Path::new("."))).map_err(|error| error.to_string())?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(format!("it cannot be made: {error}")),
    }
    let folder = fs::canonicalize(folder).map_err(|error| error.to_string())?;
    let metadata = fs::metadata(&folder).map_err(|error| error.to_string())?;
    if !metadata.is_dir() {
        return Err("it is not a folder".to_owned());
    }
    check(&metadata)?;
    let lock = lock(&folder.join(LOCK))?;
    Ok((folder, lock))
}

fn lock(path: &Path) -> Result<File, String> {
    let failed = |error: io::Error| format!("its file `{LOCK}` cannot be locked: {error}");
    // No link is followed: a file elsewhere is nothing to lock, nor to make.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(SECRET)).map(File::from);
    let file = file.map_err(|error| failed(error.into()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err("another process uses it; each needs a module folder of its own".to_owned())
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Reads a file of up to `limit` bytes that is our own.
///
/// # Errors
///
/// What the operating system says, or what is wrong with the file.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // What was opened is what is checked; opening a pipe does not wait for its other end.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(io::Error::other("it is a link, and not the file itself")),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    check(&metadata).map_err(io::Error::other)?;
    if metadata.len() > limit {
        return Err(too_large(limit));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // It does not grow while it is read: nobody else writes to it.
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Says that a file has too many bytes.
pub(super) fn too_large(limit: u64) -> io::Error {
    io::Error::other(format!("it has more than the {limit} bytes that are accepted"))
}

fn check(metadata: &Metadata) -> Result<(), String> {
    let (owner, own) = (metadata.uid(), geteuid().as_raw());
    if owner != own {
        return Err(format!(
            "it belongs to the user {owner}, and compiled code is loaded from it: it has to belong to the user {own}, \
             whom this process runs as"
        ));
    }
    let mode = metadata.mode() & 0o777;
    if mode & OTHERS_WRITE != 0 {
        return Err(format!(
            "others can write to it (its mode is {mode:03o}), and compiled code is loaded from it: \
             `chmod go-w` takes that from them"
        ));
    }
    Ok(())
}
