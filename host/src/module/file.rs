//! Files that are written completely or not at all: under a temporary name first, then renamed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// The mode of a file that only its owner may read.
pub const PRIVATE_MODE: u32 = 0o600;
/// The mode of a file that everybody may read, as far as the process's umask allows.
pub const PUBLIC_MODE: u32 = 0o666;

/// Writes a file, replacing an existing one in one step: a reader opens either the old file or the new one, never a part
/// of one. If this fails, nothing has changed.
///
/// # Errors
///
/// The operating system's error, or that the path names something other than a file.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
        return Err(io::Error::other("it is not a regular file"));
    }
    TemporaryFile::write(path, bytes, PUBLIC_MODE)?.persist()
}

/// Writes a new file with this mode. If this fails, nothing has changed.
///
/// # Errors
///
/// The operating system's error; [`io::ErrorKind::AlreadyExists`] if the name is taken.
pub fn create_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = TemporaryFile::write(path, bytes, mode)?;
    // Unlike renaming, linking never replaces an existing name, not even a dangling symbolic link.
    fs::hard_link(&temporary.path, path)
}

/// A file that is complete and on the disk, but still has a temporary name. Dropping it removes the file.
#[derive(Debug)]
pub struct TemporaryFile<'a> {
    /// Its path: beside its destination, on the same file system, under a unique name.
    path: PathBuf,
    destination: &'a Path,
}

impl<'a> TemporaryFile<'a> {
    /// Writes and syncs a temporary file with this mode, to be renamed to `destination`.
    ///
    /// # Errors
    ///
    /// The operating system's error. No file is left then.
    pub fn write(destination: &'a Path, bytes: &[u8], mode: u32) -> io::Result<Self> {
        let name = destination.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
        let path = destination.with_file_name(format!(".{}.{}", name.display(), Uuid::new_v4()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        let temporary = Self { path, destination };
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(temporary)
    }

    /// Renames it to its destination, replacing a file or a symbolic link of that name. Durable only after
    /// [`sync_folder`].
    ///
    /// # Errors
    ///
    /// The operating system's error. The temporary file is removed then.
    pub fn persist(self) -> io::Result<()> {
        fs::rename(&self.path, self.destination)
    }
}

impl Drop for TemporaryFile<'_> {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&self.path);
    }
}

/// The name that a temporary file was to be renamed to; `None` if `name` is not that of a temporary file.
pub fn destination_name(name: &str) -> Option<&str> {
    let (destination, unique) = name.strip_prefix('.')?.rsplit_once('.')?;
    Uuid::try_parse(unique).ok().map(|_| destination)
}

/// Syncs a folder, so that the names of its files are durable.
///
/// # Errors
///
/// The operating system's error.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Reads a text file.
///
/// # Errors
///
/// One line, without the path: the operating system's error, or that it is not a regular file, not UTF-8, or larger than
/// `limit` bytes.
pub fn read_text(path: &Path, limit: u64) -> Result<String, String> {
    // Checked before opening it, because opening a pipe would wait for its other end.
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size > limit) {
        return Err(too_large(limit));
    }
    String::from_utf8(bytes).map_err(|_| "it is not text".to_owned())
}

/// The error text for a file larger than its limit.
pub fn too_large(limit: u64) -> String {
    format!("it is larger than the maximum of {limit} bytes")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_private_file_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create_new(&path, b"new", PRIVATE_MODE).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["key"]);
    }

    #[test]
    fn a_new_file_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "as it was").unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink("nowhere", at("link")).unwrap();
        let before = names(folder.path());
        for name in &before {
            let error = create_new(&at(name), b"new", PUBLIC_MODE).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}: {error}");
        }
        assert_eq!(fs::read(at("file")).unwrap(), b"as it was");
        assert_eq!(names(folder.path()), before);
    }

    #[test]
    fn a_temporary_file_is_recognised_by_its_name_and_removed_on_drop() {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("a.file");
        let temporary = TemporaryFile::write(&destination, b"new", PRIVATE_MODE).unwrap();
        let name = names(folder.path()).remove(0);
        assert_eq!(destination_name(&name), Some("a.file"));
        drop(temporary);
        assert_eq!(names(folder.path()), [""; 0]);
        for other in [
            "a.file",
            ".a.file",
            ".",
            "",
            name.trim_start_matches('.'),
            name.trim_end_matches(char::is_alphanumeric),
        ] {
            assert_eq!(destination_name(other), None, "{other}");
        }
        TemporaryFile::write(&destination, b"new", PRIVATE_MODE).unwrap().persist().unwrap();
        assert_eq!(names(folder.path()), ["a.file"]);
    }

    #[test]
    fn only_a_text_file_within_the_limit_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("text"), "1234").unwrap();
        fs::write(at("bytes"), b"\xff").unwrap();
        assert_eq!(read_text(&at("text"), 4).unwrap(), "1234");
        for (path, limit, expected) in [
            (at("text"), 3, "the maximum of 3 bytes"),
            (at("bytes"), 4, "not text"),
            (at("."), 4, "not a regular file"),
            (at("missing"), 4, "No such file"),
        ] {
            let error = read_text(&path, limit).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
