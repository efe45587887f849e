//! The commands of operators: push a module, activate one that is kept, roll back.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::{
    api::AdminApi,
    auth::Operator,
    endpoint::Client,
    modules::{internal_error, parse_module},
    response::{ApiError, Content, json},
    upload::receive,
};
use crate::{
    config::TermsConfig,
    module::{component::ModuleError, hash::ModuleHash, source::Source},
    rollout::{
        events::{Origin, Step},
        handle::CommandError,
        offer::{Offer, OfferPermit},
        owner::RollBackError,
        smoke,
    },
};

/// A module was accepted for a rollout. Events report its progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// The hash of the module.
    pub module: ModuleHash,
    /// Whether it serves already, so that there is nothing to do.
    pub serving: bool,
    /// The number of the last event before the first event of this rollout.
    pub event: u64,
}

/// A module that is about to be rolled out.
struct Requested {
    module: ModuleHash,
    /// The size of the component, in bytes.
    size: u64,
    from: Origin,
    /// The name of the operator.
    by: String,
    terms: TermsConfig,
    began: Instant,
    permit: OfferPermit,
}

impl AdminApi {
    /// Acquires the permit before it reads the body, so that memory never contains more than one component.
    pub(super) async fn push<B>(
        &self,
        request: Request<B>,
        operator: &Operator,
        client: Option<Client>,
    ) -> Result<Response<Content>, ApiError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let began = Instant::now();
        let terms = self.terms(request.uri().query().unwrap_or_default())?;
        let permit = self.permit()?;
        let by = operator.name.to_string();
        let _uploading = self.rollouts.queue.note_upload(sender(&by, client));
        let bytes = receive(request.into_body()).await?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let (serving, trust) = (self.rollouts.slot.module(), self.rollouts.trust.clone());
        // The digest of 64 MiB takes longer than other connections may wait for this thread.
        let read = spawn_blocking(move || {
            let module = ModuleHash::digest(&bytes);
            (module, (module != serving).then(|| Source::from_component(bytes, &trust)))
        });
        let (module, source) = read.await.map_err(|error| internal_error(error.to_string()))?;
        match source {
            None => Ok(self.serves_already(module)),
            Some(source) => self
                .roll_out(Requested { module, size, from: Origin::Push, by, terms, began, permit }, source),
        }
    }

    /// Rolls out a module that is kept in the module folder.
    pub(super) async fn activate(
        &self,
        name: &str,
        query: &str,
        operator: &Operator,
    ) -> Result<Response<Content>, ApiError> {
        let began = Instant::now();
        let module = parse_module(name)?;
        let terms = self.terms(query)?;
        if !self.rollouts.archive.is_durable() {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                "This service keeps no modules: start it with --module-dir, or push the component.",
            ));
        }
        let permit = self.permit()?;
        if module == self.rollouts.slot.module() {
            return Ok(self.serves_already(module));
        }
        let Some(stored) = self.stored(module).await? else {
            return Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "This module is not kept: push its component. GET /v1/modules lists the modules that are known.",
            ));
        };
        let source = self.rollouts.read_kept(module).await;
        let (size, from, by) = (stored.size, Origin::Activate, operator.name.to_string());
        self.roll_out(Requested { module, size, from, by, terms, began, permit }, source)
    }

    /// The permit to offer a module.
    fn permit(&self) -> Result<OfferPermit, ApiError> {
        self.rollouts.acquire().ok_or_else(|| ApiError {
            retry_after: self.rollouts.status().seconds_left(),
            ..ApiError::new(StatusCode::CONFLICT, self.rollouts.busy_detail())
        })
    }

    fn serves_already(&self, module: ModuleHash) -> Response<Content> {
        let event = self.rollouts.roster.last_event();
        json(StatusCode::OK, &Accepted { module, serving: true, event })
    }

    fn roll_out(
        &self,
        requested: Requested,
        source: Result<Source, ModuleError>,
    ) -> Result<Response<Content>, ApiError> {
        let Requested { module, size, from, by, terms, began, permit } = requested;
        let by = Some(by);
        let roster = &self.rollouts.roster;
        let source = source.map_err(|why| {
            roster.record(module, Step::Received { from, size, by: by.clone() });
            roster.record(module, Step::Refused { why: why.to_string(), requested: false, by: None });
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, format!("The component was rejected: {why}."))
        })?;
        let accepted = Accepted { module, serving: false, event: roster.last_event() };
        if !self.rollouts.queue.offer(Offer { module, source, from, by, terms, began, permit }) {
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The service is shutting down and accepts no modules.",
            ));
        }
        if self.rollouts.smoke_requests == 0 {
            smoke::log_no_requests(module);
        }
        let mut response = json(StatusCode::ACCEPTED, &accepted);
        if let Ok(location) = HeaderValue::try_from(format!("/v1/modules/{module}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    /// Answers once the module serves, and would serve after a restart.
    pub(super) async fn roll_back(&self, operator: &Operator) -> Result<Response<Content>, ApiError> {
        let error = match self.rollouts.roll_back(&operator.name).await {
            Ok(module) => return Ok(json(StatusCode::OK, &self.view_of(module))),
            Err(error) => error,
        };
        let serving = self.rollouts.slot.module().short();
        let (status, detail) = match error {
            CommandError::RollBack(RollBackError::NothingToRollBack) => (
                StatusCode::CONFLICT,
                "There is no module to roll back to: no rollout is in progress, and no module served before this one."
                    .to_owned(),
            ),
            CommandError::RollBack(RollBackError::NotRestored(why)) => (
                StatusCode::CONFLICT,
                format!("The previous module cannot serve: {why}. Nothing has changed: module {serving} serves."),
            ),
            CommandError::RollBack(RollBackError::NotRecorded(why)) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!(
                    "Module {serving} serves now, but that could not be recorded, and {}. The service keeps trying to record it; \
                     the cause is: {why}.",
                    self.after_restart().await
                ),
            ),
            CommandError::TimedOut => (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!(
                    "The rollback is not finished yet, and goes on: module {serving} serves now, and {}.",
                    self.after_restart().await
                ),
            ),
            CommandError::ShuttingDown => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("The service is shutting down: module {serving} serves until then."),
            ),
        };
        Err(ApiError::new(status, detail))
    }

    async fn after_restart(&self) -> String {
        match self.rollouts.module_after_restart().await {
            Some(module) => format!("a restart would serve {}", module.short()),
            None => "what a restart would serve cannot be read".to_owned(),
        }
    }

    /// The terms in a query. The service's own terms replace those that are missing.
    fn terms(&self, query: &str) -> Result<TermsConfig, ApiError> {
        let mut terms = self.rollouts.terms.clone();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // A percent sign may be percent-encoded. No other character of a term needs encoding.
            let replaced = terms.replace(name, &value.replace("%25", "%"));
            replaced.map_err(|why| ApiError::new(StatusCode::BAD_REQUEST, format!("{why}.")))?;
        }
        Ok(terms)
    }
}

/// Who sends an upload, in words for other operators.
fn sender(name: &str, client: Option<Client>) -> String {
    match client {
        Some(client @ Client::Address(_)) => format!("{name} ({client})"),
        Some(Client::User(_)) | None => name.to_owned(),
    }
}
