//! What takes time in a rollout: making modules ready, comparing them, and writing the pointer.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    config::{TermsConfig, TrustConfig},
    module::{
        component::ModuleError,
        hash::ModuleHash,
        source::{Source, file_error},
    },
    rollout::{
        archive::ModuleArchive,
        candidate::{CandidateBuilder, read_source},
        comparison::{Comparator, Finding},
        events::Origin,
        evidence::Evidence,
        owner::{Environment, PreparedOffer, Work},
        slot::LoadedModule,
        smoke::SmokeTest,
    },
    sandbox::instance::Reach,
};

/// How long after the first failure the pointer is written again. Each further failure doubles it, up to the maximum.
const RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);

/// The environment of a rollout in a serving host.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct HostEnvironment {
    /// The file that `--component` names.
    pub component: PathBuf,
    /// The trust that a file needs.
    pub trust: TrustConfig,
    /// Makes components ready.
    pub builder: Arc<CandidateBuilder>,
    /// The requests that a candidate must respond to before it serves.
    pub smoke: Arc<SmokeTest>,
    /// The store and the servers that a module may use once it receives requests.
    pub reach: Reach,
    /// The modules that outlive this process.
    pub archive: Arc<ModuleArchive>,
    /// Compares modules.
    pub comparator: Comparator,
}

impl HostEnvironment {
    async fn load(&self, module: ModuleHash, source: Source) -> Result<Arc<LoadedModule>, ModuleError> {
        let candidate = self.builder.build(module, source, &self.archive).await?;
        self.smoke.run(&candidate, &self.comparator.roster).await.map_err(ModuleError)?;
        Ok(LoadedModule::new(candidate, self.reach.clone(), self.builder.bounds.clone()))
    }

    /// Reads a module that served before, from the module folder or from the file that `--component` names: a component that
    /// was compiled ahead of time is only there.
    async fn read_kept(&self, module: ModuleHash) -> Result<Source, String> {
        match self.archive.read_component(module).await {
            Ok(component) => {
                Source::from_component(component, &self.trust).map_err(|error| error.to_string())
            }
            Err(why) => match read_source(&self.component, &self.trust).await {
                Ok((named, source)) if named == module => Ok(source),
                Ok(_) | Err(_) => Err(why),
            },
        }
    }
}

impl Environment for HostEnvironment {
    fn prepare(&self, offer: PreparedOffer) -> Work<Result<Arc<LoadedModule>, String>> {
        let this = self.clone();
        let PreparedOffer { module, source, from } = offer;
        Box::pin(async move {
            this.load(module, source).await.map_err(|error| match from {
                Origin::Reload => file_error(&this.component, &error).to_string(),
                Origin::Start | Origin::Restart | Origin::Push | Origin::Activate => error.to_string(),
            })
        })
    }

    /// Sends no smoke requests: the module has served before, and a rollback must not depend on the store.
    fn prepare_kept(&self, module: ModuleHash) -> Work<Result<Arc<LoadedModule>, String>> {
        let this = self.clone();
        Box::pin(async move {
            let source = this.read_kept(module).await?;
            let candidate = this.builder.build(module, source, &this.archive).await;
            let candidate = candidate.map_err(|error| error.to_string())?;
            Ok(LoadedModule::new(candidate, this.reach.clone(), this.builder.bounds.clone()))
        })
    }

    fn trial(&self, candidate: Arc<LoadedModule>, terms: TermsConfig) -> Work<Finding> {
        Box::pin(self.comparator.clone().trial(candidate, terms))
    }

    fn watch(&self, trial: Option<(Evidence, Duration)>, terms: TermsConfig) -> Work<Option<Finding>> {
        Box::pin(self.comparator.clone().watch(trial, terms))
    }

    fn write_pointer(&self, module: ModuleHash, from: Option<Origin>) -> Work<Result<(), String>> {
        let archive = Arc::clone(&self.archive);
        Box::pin(async move {
            match from {
                Some(from) => archive.promote(module, from).await,
                None => archive.activate(module).await,
            }
        })
    }

    fn retry_delay(&self, failures: u32) -> Work<()> {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
        Box::pin(tokio::time::sleep(RETRY_DELAY.saturating_mul(factor).min(MAX_RETRY_DELAY)))
    }
}
