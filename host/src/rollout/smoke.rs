//! Smoke requests: a candidate must respond to them before it serves. It reads the real store but must not change it, and
//! may send nothing to other servers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::{
    config::SmokeRequest,
    module::hash::ModuleHash,
    rollout::{
        candidate::{Candidate, elapsed_ms, run_blocking},
        events::Step,
        roster::Roster,
    },
    sandbox::{
        failure::Failure,
        guest::{CallContext, Guest, InstanceBounds},
        instance::Reach,
        request_body::RequestBody,
    },
    store::{Commit, Entry, Key, Outcome, Scan, Snapshot, Store, StoreError, Stored},
};

/// The request id of log lines that a candidate prints during its smoke requests.
const REQUEST_ID: &str = "smoke";

/// The smoke requests, and the environment in which they run.
#[allow(missing_debug_implementations, reason = "a store has no readable form")]
pub struct SmokeTest {
    /// The requests, in order.
    pub requests: Vec<SmokeRequest>,
    /// The store that the candidate would use.
    pub store: Arc<dyn Store>,
    /// How long each request may take.
    pub timeout: Duration,
    /// The limits of an instance. It serves one request.
    pub bounds: InstanceBounds,
}

impl SmokeTest {
    /// Sends each request to the candidate, each in a new instance.
    ///
    /// # Errors
    ///
    /// One line about the first request that received no response, received another status than it must, or tried to write.
    pub async fn run(&self, candidate: &Candidate, roster: &Roster) -> Result<(), String> {
        // A smoke request runs on a thread of its own. If the rollout is abandoned, it ends, and with it its instance.
        let abandoned = CancellationToken::new();
        let _guard = abandoned.clone().drop_guard();
        for request in &self.requests {
            let began = Instant::now();
            let store =
                Arc::new(ReadOnlyStore { store: Arc::clone(&self.store), wrote: AtomicBool::new(false) });
            let bounds = InstanceBounds { max_requests: 1, background: None, ..self.bounds.clone() };
            // No outbound requests: their effects on other servers could not be undone.
            let reach = Reach { store: Arc::clone(&store) as Arc<dyn Store>, outbound: None };
            let guest = Guest::new(candidate.linked.clone(), reach, bounds);
            let response =
                run_blocking(send(Arc::new(guest), request.clone(), self.timeout, abandoned.clone())).await?;
            let failed = |why: &str| Err(format!("smoke request {request}: {why}"));
            if store.wrote.load(Ordering::Relaxed) {
                return failed("the component tried to write to the store");
            }
            let status = match response {
                Ok(status) if request.accepts(status) => status.as_u16(),
                Ok(status) => {
                    return failed(&format!("the response has status {status}, {}", expected(request)));
                }
                Err(failure) => return failed(&failure.to_string()),
            };
            let duration_ms = elapsed_ms(began);
            // The status that it must have is the one that it has.
            let request = format!("{} {}", request.method, request.target);
            roster.record(candidate.module, Step::Smoked { request, status, duration_ms });
        }
        Ok(())
    }
}

/// What the status of the response should have been.
fn expected(request: &SmokeRequest) -> String {
    match request.status {
        Some(status) => format!("not {}", status.as_u16()),
        None => "and must be below 400 unless --smoke names it, as in `GET /path 404`".to_owned(),
    }
}

/// Logs that there are no smoke requests, when a module is accepted for a rollout, or serves from the start.
pub fn log_no_requests(module: ModuleHash) {
    tracing::warn!(
        event = "rollout.no_smoke_requests", %module,
        "no smoke requests: a component that answers every request wrongly may be promoted; add --smoke"
    );
}

/// Sends a request, reads the whole response, and returns its status.
async fn send(
    guest: Arc<Guest>,
    smoke_request: SmokeRequest,
    timeout: Duration,
    abandoned: CancellationToken,
) -> Result<StatusCode, Failure> {
    let mut request = Request::new(RequestBody::default());
    *request.method_mut() = smoke_request.method;
    *request.uri_mut() = smoke_request.target;
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    let deadline = tokio::time::Instant::now() + timeout;
    let request_id = Arc::from(REQUEST_ID);
    let context = CallContext {
        request_id,
        deadline,
        withdrawn: Some(abandoned),
        stream_end: None,
        call_guard: Box::new(()),
        guard: Arc::new(()),
    };
    let (head, mut body) = guest.call(request, context).await?.into_parts();
    while body.frame().await.transpose()?.is_some() {}
    Ok(head.status)
}

/// A store that can only be read. It rejects commits, and records that there was one.
struct ReadOnlyStore {
    store: Arc<dyn Store>,
    wrote: AtomicBool,
}

#[async_trait]
impl Store for ReadOnlyStore {
    async fn get(&self, keys: Vec<Key>) -> Result<Vec<Option<Stored>>, StoreError> {
        self.store.get(keys).await
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<Entry>, StoreError> {
        self.store.scan(scan).await
    }

    async fn snapshot(&self, after: Option<Key>) -> Result<Box<dyn Snapshot>, StoreError> {
        self.store.snapshot(after).await
    }

    async fn commit(&self, _: Commit) -> Result<Outcome, StoreError> {
        self.wrote.store(true, Ordering::Relaxed);
        Err(StoreError::unavailable("a smoke request must not write"))
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.store.health().await
    }

    /// Does nothing: the store is shared, and stays open.
    async fn close(&self) {}
}
