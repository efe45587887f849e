//! Another module takes the place of the one that serves, while requests go on.
//!
//! A component is read, compiled, loaded, linked, tried and asked its smoke requests, one after the other; each step is
//! logged. Only what has passed all of them comes to serve, in one step. Whatever fails leaves everything as it was.

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Instant};

use crate::{
    candidate::{self, Workshop, since},
    config::TrustConfig,
    instance::Reach,
    module::{ModuleError, ModuleHash},
    shutdown::Hangup,
    slot::{Serving, Slot},
    smoke::Smoke,
    source::refused,
};

/// What it takes to serve another version of a component.
#[allow(missing_debug_implementations, reason = "linked code has nothing to show")]
pub struct Swapper {
    /// Where each version is found.
    pub component: PathBuf,
    /// Which files are accepted.
    pub trust: TrustConfig,
    /// What makes it ready.
    pub workshop: Arc<Workshop>,
    /// What it must answer before it serves.
    pub smoke: Smoke,
    /// What it may reach once it serves.
    pub reach: Reach,
    /// Where it serves.
    pub slot: Arc<Slot>,
}

impl Swapper {
    /// Reads the component anew each time it is told to. Told again meanwhile, it does so once more.
    pub async fn reload_when_told(&self, hangup: &mut Hangup) -> Infallible {
        loop {
            hangup.next().await;
            self.reload().await;
        }
    }

    /// Serves what the component's file holds now, or leaves everything as it is.
    async fn reload(&self) {
        let began = Instant::now();
        let serving = self.slot.module();
        tracing::info!(component = %self.component.display(), %serving, "reload begun");
        let mut module = None;
        match self.swap(serving, &mut module).await {
            Ok(Some(module)) => {
                tracing::info!(%module, replaced = %serving, duration_ms = since(began), "swapped");
            }
            Ok(None) => tracing::info!(%serving, "reload ended: the component is the one that serves"),
            Err(why) => {
                let module = module.map(tracing::field::display);
                let duration_ms = since(began);
                tracing::error!(module, %serving, %why, duration_ms, "reload refused: nothing has changed");
            }
        }
    }

    /// Gives the module that serves now, unless it did before. Says which module was `found` as soon as that is known.
    async fn swap(
        &self,
        serving: ModuleHash,
        found: &mut Option<ModuleHash>,
    ) -> Result<Option<ModuleHash>, ModuleError> {
        let (module, source) = candidate::read(&self.component, &self.trust).await?;
        *found = Some(module);
        if module == serving {
            return Ok(None);
        }
        let refuse = |why: &dyn std::fmt::Display| refused(&self.component, why);
        let candidate = self.workshop.make(module, source).await.map_err(|error| refuse(&error))?;
        self.smoke.test(&candidate).await.map_err(|why| refuse(&why))?;
        self.slot.replace(Serving::new(candidate, self.reach.clone(), self.workshop.bounds));
        Ok(Some(module))
    }
}
