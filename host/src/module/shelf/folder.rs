//! The folder: what is put into it, found in it, and which module of it is active.

use std::{
    cmp::Reverse,
    fmt,
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{
    active::Active,
    names::{
        ACTIVATING, ACTIVE, COMPILED, COMPILING, COMPONENT, HELP, MAX_POINTER, STORING, is_ours, module_of,
        refused,
    },
    own,
};
use crate::{
    config::Trusted,
    lifecycle::fault,
    module::{
        compiled::Compiled,
        file::{self, SECRET, Unfinished},
        hash::ModuleHash,
        source::{MAX_COMPILED_BYTES, MAX_COMPONENT_BYTES},
    },
};

/// An open module folder, which no other process uses. Its functions wait for the disk.
#[derive(Debug)]
pub struct Shelf {
    pub(super) folder: PathBuf,
    /// How many modules are kept beside those that are needed.
    pub(super) keep: usize,
    /// One change at a time: a module is not removed while it is found to be there.
    changing: Mutex<()>,
    /// Locked as long as the folder is open.
    lock: File,
}

/// A module in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Names it.
    pub module: ModuleHash,
    /// The size of its component, in bytes.
    pub size: u64,
    /// When it was stored last.
    pub stored: SystemTime,
}

impl Shelf {
    /// Opens a folder, and makes it if it is missing: for this process's user alone. What writes that were broken off
    /// have left is removed. `keep` is how many modules [`Shelf::retain`] keeps.
    ///
    /// # Errors
    ///
    /// One line with the folder's name: it cannot be made or used, belongs to somebody else, others can write to it, or
    /// another process uses it.
    pub fn open(folder: &Path, keep: usize) -> Result<Self, String> {
        let (folder, lock) =
            own::claim(folder).map_err(|why| format!("module folder {}: {why}", folder.display()))?;
        let shelf = Self { folder, keep, changing: Mutex::new(()), lock };
        if let Err(error) = shelf.remove_unfinished() {
            tracing::warn!(folder = %shelf.folder.display(), %error, "unfinished files of the module folder remain");
        }
        Ok(shelf)
    }

    /// Stores a component: whole or not at all, durably. One that is there already counts as stored now; one that is
    /// there and is not as it was is replaced.
    ///
    /// # Errors
    ///
    /// One line with the file's name: it is larger than can be read again, or what the operating system says.
    pub fn put(&self, component: &[u8]) -> Result<ModuleHash, String> {
        let module = ModuleHash::of(component);
        let path = self.path(module, COMPONENT);
        let _changing = self.changing();
        let there = || own::read(&path, MAX_COMPONENT_BYTES).is_ok_and(|there| there == component);
        let stored = if u64::try_from(component.len()).is_ok_and(|size| size > MAX_COMPONENT_BYTES) {
            Err(own::too_large(MAX_COMPONENT_BYTES))
        } else if there() {
            // A process that was killed may have renamed it, and not have made that durable.
            File::open(&path)
                .and_then(|file| file.set_modified(SystemTime::now()))
                .and_then(|()| file::sync_folder(&self.folder))
        } else {
            self.write(&path, component, STORING)
        };
        stored.map(|()| module).map_err(|error| refused("stored component", &path, &error))
    }

    /// Stores what was compiled of a component beside it, in the place of what is there.
    ///
    /// # Errors
    ///
    /// One line with the file's name: the component is not there, or what the operating system says.
    pub fn put_compiled(&self, compiled: &Compiled) -> Result<(), String> {
        let path = self.path(compiled.hash, COMPILED);
        let _changing = self.changing();
        self.has(compiled.hash)
            .and_then(|()| self.write(&path, compiled.file(), COMPILING))
            .map_err(|error| refused("stored code", &path, &error))
    }

    /// The component of a module, as it was stored.
    ///
    /// # Errors
    ///
    /// One line with the file's name and what to do: it is missing, cannot be read, or is not as it was stored.
    pub fn component(&self, module: ModuleHash) -> Result<Vec<u8>, String> {
        let path = self.path(module, COMPONENT);
        let unusable =
            |why: &dyn fmt::Display| format!("{}: {HELP}", refused("stored component", &path, why));
        let component = own::read(&path, MAX_COMPONENT_BYTES).map_err(|error| unusable(&error))?;
        if ModuleHash::of(&component) == module {
            Ok(component)
        } else {
            Err(unusable(&"it is not as it was stored (its SHA-256 is not its name)"))
        }
    }

    /// What was compiled of a component, if there is such a file, whole and of this version of the host. Otherwise none,
    /// and the component has to be compiled anew; if there is a file, the log says what is wrong with it. Whether this machine's processor is up to it is
    /// found when it is loaded.
    pub fn compiled(&self, module: ModuleHash) -> Option<Compiled> {
        let path = self.path(module, COMPILED);
        let read = own::read(&path, MAX_COMPILED_BYTES);
        if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return None;
        }
        let checked = read
            .map_err(|error| error.to_string())
            .and_then(|file| Compiled::check(file, Trusted::compiled_by_ourselves()))
            .and_then(|compiled| match compiled.hash {
                hash if hash == module => Ok(compiled),
                other => Err(format!("it was compiled from another component ({other})")),
            });
        checked
            .inspect_err(|why| tracing::warn!(file = %path.display(), %why, "stored code cannot be used"))
            .ok()
    }

    /// What was active last; none in a new folder.
    ///
    /// # Errors
    ///
    /// One line with the file's name and what to do, if it cannot be read.
    pub fn active(&self) -> Result<Option<Active>, String> {
        let path = self.folder.join(ACTIVE);
        let read = match own::read(&path, MAX_POINTER) {
            Ok(bytes) => Active::parse(&bytes).ok_or_else(|| {
                io::Error::other(
                    "`module` and a SHA-256 are expected, and `component` and another, a line each",
                )
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error),
        };
        read.map(Some).map_err(|error| {
            let refused = refused("active module", &path, &error);
            format!("{refused}: remove it to serve what --component names")
        })
    }

    /// Makes a module that is stored the active one.
    ///
    /// # Errors
    ///
    /// One line with the pointer's name: the module's component is not there, or what the operating system says. The
    /// one that was active is so still, unless making the change durable failed: then it may be either, and is whole.
    pub fn activate(&self, active: Active) -> Result<(), String> {
        let path = self.folder.join(ACTIVE);
        let _changing = self.changing();
        // What `--component` names is found there.
        let there = if active.module == active.component { Ok(()) } else { self.has(active.module) };
        there
            .and_then(|()| self.write(&path, active.to_string().as_bytes(), ACTIVATING))
            .map_err(|error| refused("active module", &path, &error))
    }

    /// The modules that are stored, newest first.
    ///
    /// # Errors
    ///
    /// One line with the folder's name: what the operating system says.
    pub fn list(&self) -> Result<Vec<Stored>, String> {
        self.stored().map_err(|error| refused("module folder", &self.folder, &error))
    }

    fn stored(&self) -> io::Result<Vec<Stored>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Some(module) = entry.file_name().to_str().and_then(|name| module_of(name, COMPONENT)) else {
                continue;
            };
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                all.push(Stored { module, size: metadata.len(), stored: metadata.modified()? });
            }
        }
        // Those of one instant in some order, but always in the same.
        all.sort_by_key(|stored| (Reverse(stored.stored), stored.module.to_string()));
        Ok(all)
    }

    fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().and_then(file::unfinished_of).is_some_and(is_ours) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8], [written, renamed, stored]: [&str; 3]) -> io::Result<()> {
        let unfinished = Unfinished::write(path, bytes, SECRET)?;
        fault::point(written);
        unfinished.replace()?;
        fault::point(renamed);
        file::sync_folder(&self.folder)?;
        fault::point(stored);
        Ok(())
    }

    /// An error if the component of a module is not there.
    fn has(&self, module: ModuleHash) -> io::Result<()> {
        match fs::symlink_metadata(self.path(module, COMPONENT)) {
            Ok(metadata) if metadata.is_file() => Ok(()),
            _ => Err(io::Error::other(format!("the component {module} is not stored"))),
        }
    }

    pub(super) fn path(&self, module: ModuleHash, kind: &str) -> PathBuf {
        self.folder.join(format!("{module}{kind}"))
    }

    pub(super) fn changing(&self) -> MutexGuard<'_, ()> {
        // It guards files: one who panicked has left them as a killed process would.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started has a copy of it for an instant.
        let _ = self.lock.unlock();
    }
}
