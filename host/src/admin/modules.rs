//! What is asked of modules: what there is, what is known of one, another one, the one before.

use std::{collections::BTreeMap, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, timeout};

use super::{
    desk::Desk,
    response::{Content, Refusal, json},
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

/// What serves, what is on trial, what is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overview {
    /// The module that serves.
    pub serving: View,
    /// The module that is on trial.
    pub candidate: Option<View>,
    /// The module that serves again after a rollback.
    pub previous: Option<View>,
    /// All that is known of, the one that something happened to last first; then those that are only stored.
    pub modules: Vec<View>,
    /// Whether what was pushed serves again after a restart.
    pub durable: bool,
    /// On which terms a module is taken that is pushed without any.
    pub terms: BTreeMap<String, String>,
    /// The number of the last event.
    pub event: u64,
}

/// What is known of a module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    /// What happened to it.
    #[serde(flatten)]
    pub record: Record,
    /// What it has done since it was made ready; none if it could not be called now.
    pub done: Option<Numbers>,
}

/// A module was taken: what becomes of it is told by events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// Names the module.
    pub module: ModuleHash,
    /// Whether it serves already, and nothing is to be done.
    pub serving: bool,
    /// The number of the last event before the first of its own.
    pub event: u64,
}

impl Desk {
    pub(super) async fn overview(&self) -> Result<Response<Content>, Refusal> {
        let slot = &self.swapper.slot;
        let mut modules: Vec<_> =
            self.swapper.roster.records().into_iter().map(|record| self.view(record)).collect();
        for stored in self.swapper.archive.list().await.map_err(failed)? {
            if !modules.iter().any(|known| known.record.module == stored.module) {
                modules.push(View {
                    record: stored_record(stored.module, stored.size, stored.stored_at),
                    done: None,
                });
            }
        }
        let of = |serving: &LoadedModule| self.known(serving.module);
        let TermsConfig { canary, window, watch } = &self.swapper.terms;
        let terms =
            [("canary", canary.to_string()), ("window", window.to_string()), ("watch", watch.to_string())];
        let overview = Overview {
            serving: of(&slot.serving()),
            candidate: slot.candidate().map(|candidate| of(&candidate)),
            previous: slot.previous().map(|previous| of(&previous)),
            modules,
            durable: self.swapper.archive.is_durable(),
            terms: terms.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            event: self.swapper.roster.last_event(),
        };
        Ok(json(StatusCode::OK, &overview))
    }

    pub(super) async fn module(&self, name: &str) -> Result<Response<Content>, Refusal> {
        let module: ModuleHash = name.parse().map_err(|why| {
            Refusal::new(StatusCode::NOT_FOUND, format!("A module is named by its hash: {why}."))
        })?;
        if let Some(record) = self.swapper.roster.get(module) {
            return Ok(json(StatusCode::OK, &self.view(record)));
        }
        let stored = self.swapper.archive.list().await.map_err(failed)?;
        let stored = stored.into_iter().find(|stored| stored.module == module);
        let Some(stored) = stored else {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "No such module is known here."));
        };
        let record = stored_record(stored.module, stored.size, stored.stored_at);
        Ok(json(StatusCode::OK, &View { record, done: None }))
    }

    /// The body is read only when it is this one's turn: there is never more than one in memory.
    pub(super) async fn push<B>(&self, request: Request<B>) -> Result<Response<Content>, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let began = Instant::now();
        let terms = self.terms(request.uri().query().unwrap_or_default())?;
        let Some(permit) = self.queue.try_acquire() else {
            return Err(Refusal::new(StatusCode::CONFLICT, self.busy()));
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
                return Err(Refusal::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    format!("It is not taken: {why}."),
                ));
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        if !self.queue.offer(Offer { module, source, from: Origin::Push, terms, began, permit }) {
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "The service is shutting down."));
        }
        let mut answer = json(StatusCode::ACCEPTED, &accepted);
        if let Ok(location) = HeaderValue::try_from(format!("/v1/modules/{module}")) {
            answer.headers_mut().insert(header::LOCATION, location);
        }
        Ok(answer)
    }

    pub(super) async fn roll_back(&self) -> Result<Response<Content>, Refusal> {
        match self.swapper.roll_back().await {
            Some(Ok(module)) => Ok(json(StatusCode::OK, &self.known(module))),
            Some(Err(why)) => Err(failed(format!(
                "{}: it serves, but a restart would not serve it: {why}",
                self.swapper.slot.module()
            ))),
            None => Err(Refusal::new(
                StatusCode::CONFLICT,
                "There is no module to go back to: nothing is on trial, and none served before this one.",
            )),
        }
    }

    /// The terms in a query, and where there are none those of the host.
    fn terms(&self, query: &str) -> Result<TermsConfig, Refusal> {
        let mut terms = self.swapper.terms.clone();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // The sign of percent may be written as such: nothing else here needs to be escaped.
            let value = value.replace("%25", "%");
            let read = match name {
                "canary" => value.parse().map(|canary| terms.canary = canary),
                "window" => value.parse().map(|window| terms.window = window),
                "watch" => value.parse().map(|watch| terms.watch = watch),
                _ => Err("there are canary, window and watch".to_owned()),
            };
            read.map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, format!("{name}: {why}.")))?;
        }
        Ok(terms)
    }

    fn busy(&self) -> String {
        let records = self.swapper.roster.records();
        let other = records.iter().find(|record| matches!(record.state, State::Checking | State::OnTrial));
        let other = other.map(|record| format!(" ({})", record.module.short())).unwrap_or_default();
        format!(
            "Another module{other} is being made ready or on trial. Wait for what becomes of it; one that is on trial can be \
             taken back by a rollback."
        )
    }

    fn known(&self, module: ModuleHash) -> View {
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

async fn receive<B>(body: B) -> Result<Vec<u8>, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        let max = MAX_COMPONENT_BYTES >> 20;
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("A component has at most {max} MiB."))
    };
    if body.size_hint().lower() > MAX_COMPONENT_BYTES {
        return Err(too_large());
    }
    match timeout(UPLOAD_TIMEOUT, collect(body)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "The body broke off or is framed wrongly.")),
        Err(_) => {
            let limit = UPLOAD_TIMEOUT.as_secs();
            let detail = format!("The body did not arrive within {limit} s.");
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}

/// In one piece from the start, so that no more is ever held than a component may have. Room that is not used costs
/// nothing.
async fn collect<B>(body: B) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let room = body.size_hint().exact().unwrap_or(MAX_COMPONENT_BYTES).min(MAX_COMPONENT_BYTES);
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
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

fn failed(why: String) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why)
}
