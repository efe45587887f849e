//! Exclusive ownership: a folder and files that belong to this process's user, and that no other user can write to.

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

use crate::module::file::{self, PRIVATE_MODE};

/// The file whose lock stands for the whole folder.
const LOCK_FILE: &str = "lock";
/// The mode bits that let the group and all other users write.
const OTHERS_WRITE: u32 = 0o022;

/// Creates a folder for this process's user alone, unless it exists, and locks it. Returns the folder's canonical path, and
/// the lock file: the lock lasts until this file is closed, however the process ends.
///
/// # Errors
///
/// One line, without the folder's name: it cannot be created or used, is not exclusively owned, or another process uses it.
pub(super) fn claim(folder: &Path) -> Result<(PathBuf, File), String> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {
            let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
            file::sync_folder(parent.unwrap_or(Path::new("."))).map_err(|error| error.to_string())?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(format!("it cannot be created: {error}")),
    }
    let folder = fs::canonicalize(folder).map_err(|error| error.to_string())?;
    let metadata = fs::metadata(&folder).map_err(|error| error.to_string())?;
    if !metadata.is_dir() {
        return Err("it is not a folder".to_owned());
    }
    check_ownership(&metadata)?;
    let lock = lock(&folder.join(LOCK_FILE))?;
    Ok((folder, lock))
}

fn lock(path: &Path) -> Result<File, String> {
    let failed = |error: io::Error| format!("its file `{LOCK_FILE}` cannot be locked: {error}");
    // Symbolic links are not followed: a file elsewhere would lock nothing here, and must not be created.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(PRIVATE_MODE)).map(File::from);
    let file = file.map_err(|error| failed(error.into()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err("another process uses it; each process needs its own module folder".to_owned())
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Reads an exclusively owned file of up to `limit` bytes.
///
/// # Errors
///
/// The operating system's error, or what is wrong with the file.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // The opened file is what is checked. NONBLOCK: opening a pipe does not wait for its other end.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(io::Error::other("it is a symbolic link, not the file itself")),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    check_ownership(&metadata).map_err(io::Error::other)?;
    if metadata.len() > limit {
        return Err(too_large(limit));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // It does not grow meanwhile: no other user can write to it.
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The error for a file larger than its limit.
pub(super) fn too_large(limit: u64) -> io::Error {
    io::Error::other(file::too_large(limit))
}

fn check_ownership(metadata: &Metadata) -> Result<(), String> {
    let (owner, own) = (metadata.uid(), geteuid().as_raw());
    if owner != own {
        return Err(format!(
            "it belongs to user {owner}, but compiled code is loaded from it: it must belong to user {own}, the \
             user of this process"
        ));
    }
    let mode = metadata.mode() & 0o777;
    if mode & OTHERS_WRITE != 0 {
        return Err(format!(
            "others can write to it (its mode is {mode:03o}), but compiled code is loaded from it: \
             remove this permission with `chmod go-w`"
        ));
    }
    Ok(())
}
