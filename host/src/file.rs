//! Files are written whole or not at all: under another name first, and then in one step.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// Who may read a file that is nobody else's business: its owner.
pub const SECRET: u32 = 0o600;
/// Who may read other files: all, as far as the process allows (its umask).
pub const PUBLIC: u32 = 0o666;

/// Writes a file, in the place of one of that name: whoever opens it finds the old one or the new one, whole. If this
/// fails nothing has changed.
///
/// # Errors
///
/// What the operating system says, or that there is something else than a file of that name.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
        return Err(io::Error::other("it is not a regular file"));
    }
    finish(path, bytes, PUBLIC, |unfinished| fs::rename(unfinished, path))
}

/// Writes a file where there is none of that name, readable as `mode` says. If this fails nothing has changed.
///
/// # Errors
///
/// What the operating system says, or that there is something of that name already.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // Unlike renaming, a link is not made over something that is there, not even a link to nowhere.
    finish(path, bytes, mode, |unfinished| {
        fs::hard_link(unfinished, path)?;
        fs::remove_file(unfinished)
    })
}

fn finish(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    put_in_place: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let unfinished = unfinished(path)?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&unfinished)
        .and_then(|mut file: File| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| put_in_place(&unfinished));
    if written.is_err() {
        // If it could not be made there is nothing to remove.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// A name beside the file's own, on the same file system, that nobody else uses.
fn unfinished(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
    Ok(path.with_file_name(format!(".{}.{}", name.display(), Uuid::new_v4())))
}

/// Reads a text.
///
/// # Errors
///
/// One line, without the path: what the operating system says, or that it is no regular file, no text, or has more
/// than `limit` bytes.
pub fn read_text(path: &Path, limit: u64) -> Result<String, String> {
    // Before it is opened: opening a pipe would wait for its other end.
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size > limit) {
        return Err(format!("it has more than the {limit} bytes that are accepted"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not text".to_owned())
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
    fn a_new_file_is_only_for_whom_it_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, b"new", SECRET).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["key"]);
    }

    #[test]
    fn a_new_file_takes_the_place_of_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "as it was").unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink("nowhere", at("link")).unwrap();
        let before = names(folder.path());
        for name in &before {
            let error = create(&at(name), b"new", PUBLIC).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}: {error}");
        }
        assert_eq!(fs::read(at("file")).unwrap(), b"as it was");
        assert_eq!(names(folder.path()), before);
    }

    #[test]
    fn only_a_text_of_that_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("text"), "1234").unwrap();
        fs::write(at("bytes"), b"\xff").unwrap();
        assert_eq!(read_text(&at("text"), 4).unwrap(), "1234");
        for (path, limit, says) in [
            (at("text"), 3, "more than the 3 bytes"),
            (at("bytes"), 4, "not text"),
            (at("."), 4, "not a regular file"),
            (at("missing"), 4, "No such file"),
        ] {
            let error = read_text(&path, limit).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
