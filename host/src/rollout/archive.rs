//! The modules that outlive this process: those in the module folder, if there is one.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use crate::{
    module::{
        compiled::CompiledComponent,
        hash::ModuleHash,
        shelf::{ActiveModule, Shelf, StoredModule},
    },
    rollout::{
        events::Origin,
        history::{History, ParsedHistory},
    },
};

/// The remedy for a component that is missing or was changed, if a start needs it.
const RESTORE_HINT: &str =
    "restore the same component there, or remove the file `active` beside it to serve --component";
/// Maximum number of stored modules that an error names.
const MAX_NAMED_MODULES: usize = 8;

/// The module folder, if there is one, and the component that `--component` names. Without a folder, nothing is stored and
/// every operation succeeds.
#[derive(Debug)]
pub struct ModuleArchive {
    shelf: Option<Arc<Shelf>>,
    /// The component that `--component` named when it was last read.
    named_component: Mutex<ModuleHash>,
}

impl ModuleArchive {
    /// An archive with or without a folder; `named_component` is the component that `--component` names.
    pub fn new(shelf: Option<Shelf>, named_component: ModuleHash) -> Self {
        Self { shelf: shelf.map(Arc::new), named_component: Mutex::new(named_component) }
    }

    /// Whether pushed modules outlive this process.
    pub fn is_durable(&self) -> bool {
        self.shelf.is_some()
    }

    /// The module that served when the previous process ended, and its component, unless `--component` decides: it names
    /// this module itself, or has changed since, and so overrides any module pushed before.
    ///
    /// # Errors
    ///
    /// One line with the name of a file that was changed or cannot be read.
    pub async fn module_to_restore(&self) -> Result<Option<(ModuleHash, Vec<u8>)>, String> {
        let named = self.named_component();
        let restore = move |shelf: &Shelf| match shelf.active()? {
            Some(ActiveModule { module, component }) if component == named && module != named => {
                let component = shelf.read_component(module);
                component.map(|bytes| Some((module, bytes))).map_err(|why| format!("{why}: {RESTORE_HINT}"))
            }
            Some(_) | None => Ok(None),
        };
        self.run(restore).await.unwrap_or(Ok(None))
    }

    /// Records that the component that `--component` names serves. A module that was pushed earlier is then no longer
    /// active.
    ///
    /// # Errors
    ///
    /// One line, if it cannot be recorded.
    pub async fn activate_named_component(&self) -> Result<(), String> {
        let named = self.named_component();
        let wanted = ActiveModule { module: named, component: named };
        let activate = move |shelf: &Shelf| match shelf.active()? {
            Some(active) if active == wanted => Ok(()),
            Some(_) | None => shelf.activate(wanted),
        };
        self.run(activate).await.unwrap_or(Ok(()))
    }

    /// Stores a component, and returns it.
    ///
    /// # Errors
    ///
    /// One line, if it cannot be stored.
    pub async fn store_component(&self, component: Vec<u8>) -> Result<Vec<u8>, String> {
        if self.shelf.is_none() {
            return Ok(component);
        }
        let stored = self.run(move |shelf| shelf.store_component(&component).map(|_| component)).await;
        stored.unwrap_or_else(|| Err("the module folder has failed".to_owned()))
    }

    /// Reads the component of a module that is no longer loaded.
    ///
    /// # Errors
    ///
    /// One line with the module and the remedy: there is no module folder, or the module is not in it, was changed, or cannot
    /// be read.
    pub async fn read_component(&self, module: ModuleHash) -> Result<Vec<u8>, String> {
        if self.shelf.is_none() {
            let module = module.short();
            return Err(format!(
                "{module} is no longer loaded; to load a module again, the service needs --module-dir"
            ));
        }
        let read = move |shelf: &Shelf| {
            let stored = shelf.list()?;
            if stored.iter().all(|stored| stored.module != module) {
                return Err(not_stored(module, &stored, shelf.keep));
            }
            shelf.read_component(module).map_err(|why| format!("{why}: push the component again"))
        };
        self.run(read).await.unwrap_or_else(|| Err("the module folder has failed".to_owned()))
    }

    /// Reads the compiled code of a component, if it is stored and usable.
    pub async fn read_compiled(&self, module: ModuleHash) -> Option<CompiledComponent> {
        self.run(move |shelf| shelf.read_compiled(module)).await.flatten()
    }

    /// Stores the compiled code of a component. A failure is only logged: without the code, the next start compiles again.
    pub async fn store_compiled(&self, compiled: &Arc<CompiledComponent>) {
        let compiled = Arc::clone(compiled);
        let module = compiled.hash;
        if let Some(Err(why)) = self.run(move |shelf| shelf.store_compiled(&compiled)).await {
            tracing::warn!(event = "module.code_not_stored", %module, why, "cannot store compiled code");
        }
    }

    /// Records that a pushed or reloaded module serves after a restart.
    ///
    /// # Errors
    ///
    /// One line, if it cannot be recorded.
    pub async fn promote(&self, module: ModuleHash, from: Origin) -> Result<(), String> {
        if from == Origin::Reload {
            self.set_named_component(module);
        }
        self.activate(module).await
    }

    /// Records that a module serves after a restart, unless `--component` changes.
    ///
    /// # Errors
    ///
    /// One line, if it cannot be recorded.
    pub async fn activate(&self, module: ModuleHash) -> Result<(), String> {
        let active = ActiveModule { module, component: self.named_component() };
        self.run(move |shelf| shelf.activate(active)).await.unwrap_or(Ok(()))
    }

    /// The module that a restart would serve, unless `--component` changes.
    ///
    /// # Errors
    ///
    /// One line, if the pointer cannot be read.
    pub async fn module_after_restart(&self) -> Result<ModuleHash, String> {
        let named = self.named_component();
        let read = move |shelf: &Shelf| match shelf.active()? {
            Some(ActiveModule { module, component }) if component == named => Ok(module),
            Some(_) | None => Ok(named),
        };
        self.run(read).await.unwrap_or(Ok(named))
    }

    /// Records that `--component` was read again and names the serving module. A failure is only logged.
    pub async fn update_named_component(&self, module: ModuleHash) {
        if self.named_component() != module {
            self.set_named_component(module);
            if let Err(why) = self.activate(module).await {
                log_activation_failure(module, &why);
            }
        }
    }

    /// Removes the oldest modules, except those in use.
    pub async fn remove_old(&self, in_use: &[Option<ModuleHash>]) {
        let in_use: Vec<_> = in_use.iter().copied().flatten().collect();
        self.run(move |shelf| shelf.remove_old(&in_use)).await;
    }

    /// Loads what the host knew about modules, corrected by the file `active`, which says which module serves. So call it when
    /// the serving module is recorded there. A history that is damaged or of another version is logged, and the result is empty:
    /// no start depends on it.
    pub async fn load_history(&self) -> History {
        let named = self.named_component();
        let load = move |shelf: &Shelf| {
            let active = shelf.active()?.map(|active| active.module);
            let ParsedHistory { mut history, unreadable_records } = match shelf.read_history()? {
                Some(file) => History::parse(&file).map_err(|why| format!("the file `history`: {why}"))?,
                None => ParsedHistory::default(),
            };
            // The component that `--component` names is read from its own file.
            history.correct(active, |module| module == named || shelf.is_stored(module));
            Ok::<_, String>((history, unreadable_records))
        };
        match self.run(load).await {
            Some(Ok((history, records))) => {
                if records > 0 {
                    tracing::warn!(
                        event = "module.records_ignored",
                        records,
                        "ignoring records of modules that another version of the host wrote"
                    );
                }
                history
            }
            Some(Err(why)) => {
                tracing::warn!(
                    event = "module.history_ignored",
                    why,
                    "ignoring the history of modules; there is no module to roll back to"
                );
                History::default()
            }
            None => History::default(),
        }
    }

    /// Saves what the host knows about modules. A failure is only logged: the service does not depend on it.
    pub async fn save_history(&self, history: &History) {
        let saved = match history.to_file() {
            Ok(file) => self.run(move |shelf| shelf.write_history(&file)).await.unwrap_or(Ok(())),
            Err(why) => Err(why),
        };
        if let Err(why) = saved {
            tracing::warn!(
                event = "module.history_not_stored",
                why,
                "cannot store the history of modules; the one before it remains"
            );
        }
    }

    /// Lists the stored modules, newest first.
    ///
    /// # Errors
    ///
    /// One line, if the folder cannot be read.
    pub async fn list(&self) -> Result<Vec<StoredModule>, String> {
        self.run(Shelf::list).await.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Lets the next process use the module folder. What is stored can still be read, but nothing is changed.
    pub async fn release(&self) {
        self.run(Shelf::release).await;
    }

    fn named_component(&self) -> ModuleHash {
        *self.named_component.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_named_component(&self, module: ModuleHash) {
        *self.named_component.lock().unwrap_or_else(PoisonError::into_inner) = module;
    }

    /// Runs an operation that blocks on the disk, on a thread for blocking work. `None` without a folder.
    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Shelf) -> T + Send + 'static,
    ) -> Option<T> {
        let shelf = Arc::clone(self.shelf.as_ref()?);
        spawn_blocking(move || operation(&shelf)).await.ok()
    }
}

/// The error for a module that is not in the module folder.
fn not_stored(module: ModuleHash, stored: &[StoredModule], keep: usize) -> String {
    let mut names: Vec<_> =
        stored.iter().map(|stored| stored.module.short()).take(MAX_NAMED_MODULES).collect();
    match stored.len() - names.len() {
        0 => {}
        more => names.push(format!("{more} more")),
    }
    let kept = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    format!(
        "{} is not in the module folder, which has {kept}; besides modules in use, --keep-modules keeps the {keep} newest",
        module.short()
    )
}

/// Logs that a module serves, but is not recorded as the active one.
pub(super) fn log_activation_failure(module: ModuleHash, why: &str) {
    tracing::error!(
        event = "module.activation_failed",
        %module,
        why,
        "cannot record the serving module; a restart would not serve it"
    );
}
