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
    Unfinished::write(path, bytes, PUBLIC)?.replace()
}

/// Writes a file where there is none of that name, readable as `mode` says. If this fails nothing has changed.
///
/// # Errors
///
/// What the operating system says, or that there is something of that name already.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = Unfinished::write(path, bytes, mode)?;
    // Unlike renaming, a link is not made over something that is there, not even a link to nowhere.
    fs::hard_link(&unfinished.path, path)
}

/// A file that is whole and on the disk, but does not have its name yet. Dropped without it, it is gone.
#[derive(Debug)]
pub struct Unfinished<'a> {
    /// Where it is: beside its place, on the same file system, under a name that nobody else uses.
    path: PathBuf,
    /// The name it is to have.
    place: &'a Path,
}

impl<'a> Unfinished<'a> {
    /// Writes the bytes of a file that is to have the name `place`, readable as `mode` says.
    ///
    /// # Errors
    ///
    /// What the operating system says. Nothing is left of it then.
    pub fn write(place: &'a Path, bytes: &[u8], mode: u32) -> io::Result<Self> {
        let name = place.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
        let path = place.with_file_name(format!(".{}.{}", name.display(), Uuid::new_v4()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        let unfinished = Self { path, place };
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(unfinished)
    }

    /// Gives it its name, in the place of a file or a link of that name. Durable only after [`sync_folder`].
    ///
    /// # Errors
    ///
    /// What the operating system says. Nothing is left of it then.
    pub fn replace(self) -> io::Result<()> {
        fs::rename(&self.path, self.place)
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // If it has been renamed there is nothing to remove.
        let _ = fs::remove_file(&self.path);
    }
}

/// The name that an unfinished file was to have, by its own; none if it is none.
pub fn unfinished_of(name: &str) -> Option<&str> {
    let (place, unique) = name.strip_prefix('.')?.rsplit_once('.')?;
    Uuid::try_parse(unique).ok().map(|_| place)
}

/// Makes durable which files a folder has.
///
/// # Errors
///
/// What the operating system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
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
    fn an_unfinished_file_is_known_by_its_name_and_not_left() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a.file");
        let unfinished = Unfinished::write(&place, b"new", SECRET).unwrap();
        let name = names(folder.path()).remove(0);
        assert_eq!(unfinished_of(&name), Some("a.file"));
        drop(unfinished);
        assert_eq!(names(folder.path()), [""; 0]);
        for other in [
            "a.file",
            ".a.file",
            ".",
            "",
            name.trim_start_matches('.'),
            name.trim_end_matches(char::is_alphanumeric),
        ] {
            assert_eq!(unfinished_of(other), None, "{other}");
        }
        Unfinished::write(&place, b"new", SECRET).unwrap().replace().unwrap();
        assert_eq!(names(folder.path()), ["a.file"]);
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
