//! Smoke requests: what a candidate has to answer before it serves, over the real store, of which it may change nothing.
//! To other servers it may send nothing.

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

use crate::{
    config::SmokeRequest,
    rollout::{
        candidate::{Candidate, aside, since},
        events::Step,
        roster::Roster,
    },
    sandbox::{
        failure::Failure,
        guest::{Guest, InstanceBounds, Terms},
        instance::Reach,
        request_body::RequestBody,
    },
    store::{Commit, Entry, Key, Outcome, Scan, Snapshot, Store, StoreError, Stored},
};

/// Stands for the id of a request in what a candidate prints.
const REQUEST_ID: &str = "smoke";

/// What smoke requests are asked over, and within which bounds.
#[allow(missing_debug_implementations, reason = "a store has nothing to show")]
pub struct Smoke {
    /// The requests, in their order.
    pub requests: Vec<SmokeRequest>,
    /// The store that the candidate would work on.
    pub store: Arc<dyn Store>,
    /// How long each may take.
    pub timeout: Duration,
    /// Bytes of memory that an instance may have.
    pub max_memory: usize,
}

impl Smoke {
    /// Has the candidate answer each request, in an instance that is thrown away.
    ///
    /// # Errors
    ///
    /// One line about the first that was not answered, was answered with 500 or above, or wanted to write.
    pub async fn test(&self, candidate: &Candidate, roster: &Roster) -> Result<(), String> {
        for request in &self.requests {
            let began = Instant::now();
            let store = Arc::new(ReadOnly { store: Arc::clone(&self.store), wrote: AtomicBool::new(false) });
            let bounds = InstanceBounds { max_memory: self.max_memory, max_requests: 1 };
            // What a request did elsewhere could not be taken back either.
            let reach = Reach { store: Arc::clone(&store) as Arc<dyn Store>, outbound: None };
            let guest = Guest::new(candidate.linked.clone(), reach, bounds);
            let answer = aside(ask(Arc::new(guest), request.clone(), self.timeout)).await?;
            let refuse = |what: &str| Err(format!("smoke request {request}: {what}"));
            if store.wrote.load(Ordering::Relaxed) {
                return refuse("it wants to write to the store");
            }
            let status = match answer {
                Ok(status) if status.is_server_error() => return refuse(&format!("its answer is {status}")),
                Ok(status) => status.as_u16(),
                Err(failure) => return refuse(&failure.to_string()),
            };
            let step = Step::Smoked { request: request.to_string(), status, duration_ms: since(began) };
            roster.note(candidate.module, step);
        }
        Ok(())
    }
}

/// Gives the status of an answer that was read to its end.
async fn ask(guest: Arc<Guest>, request: SmokeRequest, timeout: Duration) -> Result<StatusCode, Failure> {
    let mut asked = Request::new(RequestBody::default());
    *asked.method_mut() = request.method;
    *asked.uri_mut() = request.target;
    asked.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    let deadline = tokio::time::Instant::now() + timeout;
    let terms = Terms { request_id: Arc::from(REQUEST_ID), deadline, hold: Arc::new(()) };
    let (head, mut body) = guest.call(asked, terms).await?.into_parts();
    while body.frame().await.transpose()?.is_some() {}
    Ok(head.status)
}

/// A store that can be read. Whoever wants to write to it is refused and remembered.
struct ReadOnly {
    store: Arc<dyn Store>,
    wrote: AtomicBool,
}

#[async_trait]
impl Store for ReadOnly {
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
        Err(StoreError::Unavailable("nothing may be written by a smoke request".to_owned()))
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.store.health().await
    }

    /// The store is others', and stays open.
    async fn close(&self) {}
}
