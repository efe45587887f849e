//! The folder: stores, finds and activates modules.

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
    active::ActiveModule,
    names::{
        ACTIVE_FILE, ACTIVE_POINTS, COMPILED_POINTS, COMPILED_SUFFIX, COMPONENT_POINTS, COMPONENT_SUFFIX,
        MAX_ACTIVE_BYTES, file_error, is_shelf_file, module_of_file,
    },
    ownership,
};
use crate::{
    config::Trusted,
    lifecycle::fault,
    module::{
        compiled::CompiledComponent,
        file::{self, PRIVATE_MODE, TemporaryFile},
        hash::ModuleHash,
        source::{MAX_COMPILED_BYTES, MAX_COMPONENT_BYTES},
    },
};

/// An open module folder, which no other process uses. Its functions block on the disk.
#[derive(Debug)]
pub struct Shelf {
    pub(super) folder: PathBuf,
    /// How many modules are kept, besides those in use.
    pub keep: usize,
    /// Serializes changes, so that no module is removed between a check that it is stored and its use.
    changes: Mutex<Claim>,
    /// Locked while the folder is claimed.
    lock: File,
}

/// Whether the folder is this process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Held,
    /// Another process may use the folder.
    Released,
}

/// A module in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredModule {
    /// Identifies the module.
    pub module: ModuleHash,
    /// The size of its component, in bytes.
    pub size: u64,
    /// When it was last stored.
    pub stored_at: SystemTime,
}

impl Shelf {
    /// Opens a folder, and creates it for this process's user alone if it is missing. Removes the temporary files of
    /// interrupted writes. `keep` is how many modules [`Shelf::remove_old`] keeps.
    ///
    /// # Errors
    ///
    /// One line with the folder's name: it cannot be created or used, belongs to another user, others can write to it, or
    /// another process uses it.
    pub fn open(folder: &Path, keep: usize) -> Result<Self, String> {
        let (folder, lock) =
            ownership::claim(folder).map_err(|why| format!("module folder {}: {why}", folder.display()))?;
        let shelf = Self { folder, keep, changes: Mutex::new(Claim::Held), lock };
        if let Err(error) = shelf.remove_temporary_files() {
            let folder = shelf.folder.display();
            tracing::warn!(
                event = "module.cleanup_failed",
                %folder,
                %error,
                "cannot remove temporary files from the module folder"
            );
        }
        Ok(shelf)
    }

    /// Lets another process use the folder. A change that has begun ends first; later ones fail. What is there can still be
    /// read.
    pub fn release(&self) {
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) = Claim::Released;
        let _ = self.lock.unlock();
        let folder = self.folder.display();
        tracing::info!(event = "module.folder_released", %folder, "module folder released");
    }

    /// Stores a component durably, completely or not at all. If it is stored already, its time is updated; a damaged copy is
    /// replaced.
    ///
    /// # Errors
    ///
    /// One line with the file's name: the component is larger than [`MAX_COMPONENT_BYTES`], or the operating system's error.
    pub fn store_component(&self, component: &[u8]) -> Result<ModuleHash, String> {
        let module = ModuleHash::digest(component);
        let path = self.path(module, COMPONENT_SUFFIX);
        let _lock = self.lock_changes().map_err(|error| file_error("stored component", &path, &error))?;
        let is_stored =
            || ownership::read(&path, MAX_COMPONENT_BYTES).is_ok_and(|stored| stored == component);
        let stored = if u64::try_from(component.len()).is_ok_and(|size| size > MAX_COMPONENT_BYTES) {
            Err(ownership::too_large(MAX_COMPONENT_BYTES))
        } else if is_stored() {
            // A process that was killed may have renamed the file without syncing the folder.
            File::open(&path)
                .and_then(|file| file.set_modified(SystemTime::now()))
                .and_then(|()| file::sync_folder(&self.folder))
        } else {
            self.write(&path, component, COMPONENT_POINTS)
        };
        stored.map(|()| module).map_err(|error| file_error("stored component", &path, &error))
    }

    /// Stores the compiled code of a component beside it, replacing what is there.
    ///
    /// # Errors
    ///
    /// One line with the file's name: the component is not stored, or the operating system's error.
    pub fn store_compiled(&self, compiled: &CompiledComponent) -> Result<(), String> {
        let path = self.path(compiled.hash, COMPILED_SUFFIX);
        let _lock = self.lock_changes().map_err(|error| file_error("stored code", &path, &error))?;
        self.check_stored(compiled.hash)
            .and_then(|()| self.write(&path, compiled.file(), COMPILED_POINTS))
            .map_err(|error| file_error("stored code", &path, &error))
    }

    /// Reads the component of a module.
    ///
    /// # Errors
    ///
    /// One line with the file's name: it is missing, cannot be read, or was changed.
    pub fn read_component(&self, module: ModuleHash) -> Result<Vec<u8>, String> {
        let path = self.path(module, COMPONENT_SUFFIX);
        let unusable = |why: &dyn fmt::Display| file_error("stored component", &path, why);
        let component = ownership::read(&path, MAX_COMPONENT_BYTES).map_err(|error| unusable(&error))?;
        if ModuleHash::digest(&component) == module {
            Ok(component)
        } else {
            Err(unusable(&"it was changed after it was stored (its SHA-256 is not its name)"))
        }
    }

    /// Reads the compiled code of a component. `None` if it is missing, damaged or of another version of the host: then the
    /// component must be compiled again. Anything but a missing file is logged. Whether this machine's processor has the
    /// features that the code needs shows only when it is loaded.
    pub fn read_compiled(&self, module: ModuleHash) -> Option<CompiledComponent> {
        let path = self.path(module, COMPILED_SUFFIX);
        let read = ownership::read(&path, MAX_COMPILED_BYTES);
        if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return None;
        }
        let checked = read
            .map_err(|error| error.to_string())
            .and_then(|file| CompiledComponent::from_trusted_file(file, Trusted::compiled_by_ourselves()))
            .and_then(|compiled| match compiled.hash {
                hash if hash == module => Ok(compiled),
                other => Err(format!("it was compiled from another component ({other})")),
            });
        checked
            .inspect_err(|why| {
                let file = path.display();
                tracing::warn!(
                    event = "module.stored_code_rejected",
                    %file,
                    %why,
                    "stored code rejected; compiling again"
                );
            })
            .ok()
    }

    /// Reads which module was activated last; `None` in a new folder.
    ///
    /// # Errors
    ///
    /// One line with the file's name and the remedy, if it cannot be read.
    pub fn active(&self) -> Result<Option<ActiveModule>, String> {
        let path = self.folder.join(ACTIVE_FILE);
        let read = match ownership::read(&path, MAX_ACTIVE_BYTES) {
            Ok(bytes) => ActiveModule::parse(&bytes).ok_or_else(|| {
                io::Error::other("expected two lines: `module` and a SHA-256, `component` and a SHA-256")
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error),
        };
        read.map(Some).map_err(|error| {
            let error = file_error("active module", &path, &error);
            format!("{error}: remove it to serve what --component names")
        })
    }

    /// Makes a stored module the active one.
    ///
    /// # Errors
    ///
    /// One line with the file's name: the module's component is not stored, or the operating system's error. The module that
    /// was active remains so, unless syncing the folder failed: then either module may be active, and the file is complete.
    pub fn activate(&self, active: ActiveModule) -> Result<(), String> {
        let path = self.folder.join(ACTIVE_FILE);
        let _lock = self.lock_changes().map_err(|error| file_error("active module", &path, &error))?;
        // The component that `--component` names is read from its own file.
        let stored =
            if active.module == active.component { Ok(()) } else { self.check_stored(active.module) };
        stored
            .and_then(|()| self.write(&path, active.to_string().as_bytes(), ACTIVE_POINTS))
            .map_err(|error| file_error("active module", &path, &error))
    }

    /// Lists the stored modules, newest first.
    ///
    /// # Errors
    ///
    /// One line with the folder's name and the operating system's error.
    pub fn list(&self) -> Result<Vec<StoredModule>, String> {
        self.read_folder().map_err(|error| file_error("module folder", &self.folder, &error))
    }

    fn read_folder(&self) -> io::Result<Vec<StoredModule>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Some(module) =
                entry.file_name().to_str().and_then(|name| module_of_file(name, COMPONENT_SUFFIX))
            else {
                continue;
            };
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                all.push(StoredModule { module, size: metadata.len(), stored_at: metadata.modified()? });
            }
        }
        // The hash makes the order of modules with the same time deterministic.
        all.sort_by_key(|stored| (Reverse(stored.stored_at), stored.module.to_string()));
        Ok(all)
    }

    fn remove_temporary_files(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().and_then(file::destination_name).is_some_and(is_shelf_file) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Whether the component of a module is stored.
    pub fn is_stored(&self, module: ModuleHash) -> bool {
        self.check_stored(module).is_ok()
    }

    /// Writes a file completely or not at all. It is durable afterwards.
    pub(super) fn write(
        &self,
        path: &Path,
        bytes: &[u8],
        [written, renamed, synced]: [&str; 3],
    ) -> io::Result<()> {
        let temporary = TemporaryFile::write(path, bytes, PRIVATE_MODE)?;
        fault::point(written);
        temporary.persist()?;
        fault::point(renamed);
        file::sync_folder(&self.folder)?;
        fault::point(synced);
        Ok(())
    }

    /// Checks that the component of a module is stored.
    fn check_stored(&self, module: ModuleHash) -> io::Result<()> {
        match fs::symlink_metadata(self.path(module, COMPONENT_SUFFIX)) {
            Ok(metadata) if metadata.is_file() => Ok(()),
            _ => Err(io::Error::other(format!("the component {module} is not stored"))),
        }
    }

    pub(super) fn path(&self, module: ModuleHash, suffix: &str) -> PathBuf {
        self.folder.join(format!("{module}{suffix}"))
    }

    /// Waits until no other change is under way.
    ///
    /// # Errors
    ///
    /// If the folder was released.
    pub(super) fn lock_changes(&self) -> io::Result<MutexGuard<'_, Claim>> {
        // The lock guards files. A panic leaves them in the same state as a killed process does, which is valid.
        let claim = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        match *claim {
            Claim::Held => Ok(claim),
            Claim::Released => Err(io::Error::other("the service is shutting down")),
        }
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process has a copy of it between fork and exec.
        let _ = self.lock.unlock();
    }
}
