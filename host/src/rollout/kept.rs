//! What is kept of modules beyond the end of this process: in the module folder, if there is one.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use crate::{
    module::{
        compiled::Compiled,
        hash::ModuleHash,
        shelf::{Active, Shelf, Stored},
    },
    rollout::events::Origin,
};

/// The module folder, if there is one, and what `--component` names.
#[derive(Debug)]
pub struct Kept {
    shelf: Option<Arc<Shelf>>,
    /// What `--component` named when it was last read.
    named: Mutex<ModuleHash>,
}

impl Kept {
    /// With a folder or without; `named` is the component that `--component` names.
    pub fn new(shelf: Option<Shelf>, named: ModuleHash) -> Self {
        Self { shelf: shelf.map(Arc::new), named: Mutex::new(named) }
    }

    /// Whether anything is kept.
    pub fn is_durable(&self) -> bool {
        self.shelf.is_some()
    }

    /// What served when the process before this one ended, if that was not what `--component` names. If that has become
    /// another one since, it is the later word, and nothing is told here. With its code if there is any.
    ///
    /// # Errors
    ///
    /// One line with the name of a file that is not as it was written.
    pub async fn served(&self) -> Result<Option<(ModuleHash, Vec<u8>)>, String> {
        let named = self.named();
        let served = move |shelf: &Shelf| match shelf.active()? {
            Some(Active { module, component }) if component == named && module != named => {
                shelf.component(module).map(|bytes| Some((module, bytes)))
            }
            Some(_) | None => Ok(None),
        };
        self.with(served).await.unwrap_or(Ok(None))
    }

    /// What `--component` names serves: whatever was pushed over another one is over.
    ///
    /// # Errors
    ///
    /// One line, if that cannot be kept.
    pub async fn settle(&self) -> Result<(), String> {
        let named = self.named();
        let settled = Active { module: named, component: named };
        let settle = move |shelf: &Shelf| match shelf.active()? {
            Some(active) if active == settled => Ok(()),
            Some(_) | None => shelf.activate(settled),
        };
        self.with(settle).await.unwrap_or(Ok(()))
    }

    /// Keeps a component, and gives it back.
    ///
    /// # Errors
    ///
    /// One line, if it cannot be kept.
    pub async fn store(&self, component: Vec<u8>) -> Result<Vec<u8>, String> {
        if self.shelf.is_none() {
            return Ok(component);
        }
        let stored = self.with(move |shelf| shelf.put(&component).map(|_| component)).await;
        stored.unwrap_or_else(|| Err("the module folder has failed".to_owned()))
    }

    /// The compiled form of a component, if a sound one is kept.
    pub async fn compiled(&self, module: ModuleHash) -> Option<Compiled> {
        self.with(move |shelf| shelf.compiled(module)).await.flatten()
    }

    /// Keeps the compiled form of a component. Without it the next start compiles, so that a failure is no more than a
    /// line in the log.
    pub async fn store_compiled(&self, compiled: &Arc<Compiled>) {
        let compiled = Arc::clone(compiled);
        let module = compiled.hash;
        if let Some(Err(why)) = self.with(move |shelf| shelf.put_compiled(&compiled)).await {
            tracing::warn!(%module, why, "the compiled form is not kept");
        }
    }

    /// From now on a restart serves this module, which a push or a reload has brought.
    ///
    /// # Errors
    ///
    /// One line, if it would not.
    pub async fn promote(&self, module: ModuleHash, from: Origin) -> Result<(), String> {
        if from == Origin::Reload {
            self.name(module);
        }
        self.activate(module).await
    }

    /// From now on a restart serves this module, unless `--component` becomes another one.
    ///
    /// # Errors
    ///
    /// One line, if it would not.
    pub async fn activate(&self, module: ModuleHash) -> Result<(), String> {
        let active = Active { module, component: self.named() };
        self.with(move |shelf| shelf.activate(active)).await.unwrap_or(Ok(()))
    }

    /// `--component` was read again, and names what serves.
    pub async fn now_named(&self, module: ModuleHash) {
        if self.named() != module {
            self.name(module);
            if let Err(why) = self.activate(module).await {
                tracing::error!(%module, why, "a restart would not serve it");
            }
        }
    }

    /// Removes the oldest modules, but none of these.
    pub async fn tidy(&self, in_use: &[Option<ModuleHash>]) {
        let in_use: Vec<_> = in_use.iter().copied().flatten().collect();
        self.with(move |shelf| shelf.retain(&in_use)).await;
    }

    /// What is kept, the newest first.
    ///
    /// # Errors
    ///
    /// One line, if the folder cannot be read.
    pub async fn list(&self) -> Result<Vec<Stored>, String> {
        self.with(Shelf::list).await.unwrap_or_else(|| Ok(Vec::new()))
    }

    fn named(&self) -> ModuleHash {
        *self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, module: ModuleHash) {
        *self.named.lock().unwrap_or_else(PoisonError::into_inner) = module;
    }

    /// Waits for the disk on a thread that nobody waits for. None without a folder.
    async fn with<T: Send + 'static>(&self, work: impl FnOnce(&Shelf) -> T + Send + 'static) -> Option<T> {
        let shelf = Arc::clone(self.shelf.as_ref()?);
        spawn_blocking(move || work(&shelf)).await.ok()
    }
}
