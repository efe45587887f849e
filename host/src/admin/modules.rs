//! The requests about modules: list them, describe one, push one, roll back.

use std::{collections::BTreeMap, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, timeout};

use super::{
    api::AdminApi,
    response::{ApiError, Content, json},
};
use crate::{
    config::TermsConfig,
    module::{
        hash::ModuleHash,
        source::{MAX_COMPONENT_BYTES, Source},
    },
    rollout::{
        events::{Numbers, Origin, Step},
        roster::{Record, State, format_time},
        slot::LoadedModule,
        swap::Offer,
    },
};

/// How long a component may take to arrive.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The serving module, the candidate, and all known modules.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overview {
    /// The serving module.
    pub serving: View,
    /// The module on trial.
    pub candidate: Option<View>,
    /// The module that a rollback returns to.
    pub previous: Option<View>,
    /// All known modules: first those with events, the latest event first; then those that are only stored.
    pub modules: Vec<View>,
    /// Whether a pushed module serves again after a restart.
    pub durable: bool,
    /// The terms for a module that is pushed without any: `canary`, `window` and `watch`.
    pub terms: BTreeMap<String, String>,
    /// The number of the last event.
    pub event: u64,
}

/// A module: its record, and its counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    /// Its state and history.
    #[serde(flatten)]
    pub record: Record,
    /// Its counts since it became ready; none if it cannot be called now.
    pub done: Option<Numbers>,
}

/// A pushed module was accepted. Events report its progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// The hash of the module.
    pub module: ModuleHash,
    /// Whether it serves already, so that there is nothing to do.
    pub serving: bool,
    /// The number of the last event before the first event of this push.
    pub event: u64,
}

impl AdminApi {
    pub(super) async fn overview(&self) -> Result<Response<Content>, ApiError> {
        let slot = &self.swapper.slot;
        let mut modules: Vec<_> =
            self.swapper.roster.records().into_iter().map(|record| self.view(record)).collect();
        for stored in self.swapper.archive.list().await.map_err(internal_error)? {
            if !modules.iter().any(|known| known.record.module == stored.module) {
                modules.push(View {
                    record: stored_record(stored.module, stored.size, stored.stored_at),
                    done: None,
                });
            }
        }
        let view_of = |serving: &LoadedModule| self.view_of(serving.module);
        let TermsConfig { canary, window, watch } = &self.swapper.terms;
        let terms =
            [("canary", canary.to_string()), ("window", window.to_string()), ("watch", watch.to_string())];
        let overview = Overview {
            serving: view_of(&slot.serving()),
            candidate: slot.candidate().map(|candidate| view_of(&candidate)),
            previous: slot.previous().map(|previous| view_of(&previous)),
            modules,
            durable: self.swapper.archive.is_durable(),
            terms: terms.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            event: self.swapper.roster.last_event(),
        };
        Ok(json(StatusCode::OK, &overview))
    }

    pub(super) async fn module(&self, name: &str) -> Result<Response<Content>, ApiError> {
        let module: ModuleHash = name.parse().map_err(|why| {
            ApiError::new(
                StatusCode::NOT_FOUND,
                format!("The path does not name a module by its hash: {why}."),
            )
        })?;
        if let Some(record) = self.swapper.roster.get(module) {
            return Ok(json(StatusCode::OK, &self.view(record)));
        }
        let stored = self.swapper.archive.list().await.map_err(internal_error)?;
        let stored = stored.into_iter().find(|stored| stored.module == module);
        let Some(stored) = stored else {
            return Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "No module with this hash is known: GET /v1/modules lists all.",
            ));
        };
        let record = stored_record(stored.module, stored.size, stored.stored_at);
        Ok(json(StatusCode::OK, &View { record, done: None }))
    }

    /// Acquires the permit before it reads the body, so that memory never contains more than one component.
    pub(super) async fn push<B>(&self, request: Request<B>) -> Result<Response<Content>, ApiError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let began = Instant::now();
        let terms = self.terms(request.uri().query().unwrap_or_default())?;
        let Some(permit) = self.queue.try_acquire() else {
            return Err(ApiError::new(StatusCode::CONFLICT, self.busy_detail()));
        };
        let bytes = receive(request.into_body()).await?;
        let (module, size) = (ModuleHash::digest(&bytes), bytes.len());
        let roster = &self.swapper.roster;
        let accepted =
            Accepted { module, serving: module == self.swapper.slot.module(), event: roster.last_event() };
        if accepted.serving {
            return Ok(json(StatusCode::OK, &accepted));
        }
        let trust = self.swapper.trust.clone();
        let source = tokio::task::spawn_blocking(move || Source::from_component(bytes, &trust)).await;
        let source = match source {
            Ok(Ok(source)) => source,
            Ok(Err(why)) => {
                let size = u64::try_from(size).unwrap_or(u64::MAX);
                roster.record(module, Step::Received { from: Origin::Push, size });
                roster.record(module, Step::Refused { why: why.to_string() });
                return Err(ApiError::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    format!("The component was rejected: {why}."),
                ));
            }
            Err(error) => return Err(internal_error(error.to_string())),
        };
        if !self.queue.offer(Offer { module, source, from: Origin::Push, terms, began, permit }) {
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The service is shutting down and accepts no modules.",
            ));
        }
        let mut response = json(StatusCode::ACCEPTED, &accepted);
        if let Ok(location) = HeaderValue::try_from(format!("/v1/modules/{module}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    pub(super) async fn roll_back(&self) -> Result<Response<Content>, ApiError> {
        match self.swapper.roll_back().await {
            Some(Ok(module)) => Ok(json(StatusCode::OK, &self.view_of(module))),
            Some(Err(why)) => Err(internal_error(format!(
                "Module {} serves now, but a restart would not serve it: {why}.",
                self.swapper.slot.module()
            ))),
            None => Err(ApiError::new(
                StatusCode::CONFLICT,
                "There is no module to roll back to: no module is on trial, and none served before this one.",
            )),
        }
    }

    /// The terms in a query. The host's own terms replace those that are missing.
    fn terms(&self, query: &str) -> Result<TermsConfig, ApiError> {
        let mut terms = self.swapper.terms.clone();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // A percent sign may be percent-encoded. No other character of a term needs encoding.
            let value = value.replace("%25", "%");
            let parsed = match name {
                "canary" => value.parse().map(|canary| terms.canary = canary),
                "window" => value.parse().map(|window| terms.window = window),
                "watch" => value.parse().map(|watch| terms.watch = watch),
                _ => Err("unknown parameter; the parameters are canary, window and watch".to_owned()),
            };
            parsed.map_err(|why| ApiError::new(StatusCode::BAD_REQUEST, format!("{name}: {why}.")))?;
        }
        Ok(terms)
    }

    fn busy_detail(&self) -> String {
        let records = self.swapper.roster.records();
        let other = records.iter().find(|record| matches!(record.state, State::Checking | State::OnTrial));
        let other = other.map(|record| format!(" ({})", record.module.short())).unwrap_or_default();
        format!(
            "Another module{other} is being prepared or on trial: wait for its outcome, or end its trial with a rollback."
        )
    }

    fn view_of(&self, module: ModuleHash) -> View {
        let record = self.swapper.roster.get(module);
        self.view(record.unwrap_or_else(|| stored_record(module, 0, std::time::SystemTime::now())))
    }

    fn view(&self, record: Record) -> View {
        let slot = &self.swapper.slot;
        let callable = [Some(slot.serving()), slot.candidate(), slot.previous()];
        let callable = callable.into_iter().flatten().find(|serving| serving.module == record.module);
        let done = callable.map(|serving| Numbers::from(&serving.guest.tally.counts()));
        View { record, done }
    }
}

async fn receive<B>(body: B) -> Result<Vec<u8>, ApiError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        let max = MAX_COMPONENT_BYTES >> 20;
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The component is too large: it may have at most {max} MiB."),
        )
    };
    if body.size_hint().lower() > MAX_COMPONENT_BYTES {
        return Err(too_large());
    }
    match timeout(UPLOAD_TIMEOUT, collect(body)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "The request body ended early or is framed incorrectly: send the whole component again.",
        )),
        Err(_) => {
            let limit = UPLOAD_TIMEOUT.as_secs();
            let detail =
                format!("The component did not arrive within {limit} s: send it over a faster connection.");
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}

/// Reserves all capacity at the start, so that the buffer never holds more than a component may have. Capacity that is
/// not used costs no memory.
async fn collect<B>(body: B) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let capacity = body.size_hint().exact().unwrap_or(MAX_COMPONENT_BYTES).min(MAX_COMPONENT_BYTES);
    let mut bytes = Vec::with_capacity(usize::try_from(capacity).unwrap_or_default());
    let mut limited = Limited::new(body, usize::try_from(MAX_COMPONENT_BYTES).unwrap_or(usize::MAX));
    while let Some(frame) = limited.frame().await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

fn stored_record(module: ModuleHash, size: u64, since: std::time::SystemTime) -> Record {
    Record {
        module,
        size: Some(size),
        state: State::Stored,
        since: format_time(since),
        why: None,
        window: None,
        trial: None,
    }
}

fn internal_error(why: String) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, why)
}
