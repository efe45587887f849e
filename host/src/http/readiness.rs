//! Whether the store works: one question at a time, and its answer kept for a moment.
//!
//! `/ready` is served without admission, and a question costs the store a read and a turn at its commits. So its cost must not
//! depend on how many ask.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use crate::store::{Store, StoreError};

/// How long an answer is kept.
const MAX_AGE: Duration = Duration::from_millis(500);

/// Asks a store whether it works.
#[allow(missing_debug_implementations, reason = "a store has no readable form")]
pub struct Readiness {
    store: Arc<dyn Store>,
    /// Locked during a question.
    asking: Arc<AsyncMutex<()>>,
    last: Mutex<Option<Answer>>,
}

#[derive(Clone)]
struct Answer {
    at: Instant,
    result: Result<(), StoreError>,
}

impl Readiness {
    /// Nothing has been asked yet.
    pub fn new(store: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { store, asking: Arc::default(), last: Mutex::default() })
    }

    /// Whether the store works, at most half a second ago.
    ///
    /// # Errors
    ///
    /// Why the store does not work.
    pub async fn ask(self: &Arc<Self>) -> Result<(), StoreError> {
        if let Some(answer) = self.recent() {
            return answer;
        }
        let turn = Arc::clone(&self.asking).lock_owned().await;
        if let Some(answer) = self.recent() {
            return answer;
        }
        let this = Arc::clone(self);
        // A task of its own: a client that leaves ends neither the question nor this turn.
        let asked = tokio::spawn(async move {
            let answer = this.ask_store().await;
            drop(turn);
            answer
        });
        asked.await.unwrap_or_else(|_| Err(StoreError::unavailable("its check failed")))
    }

    /// The last answer, if it is recent.
    fn recent(&self) -> Option<Result<(), StoreError>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|answer| answer.at.elapsed() < MAX_AGE).map(|answer| answer.result.clone())
    }

    async fn ask_store(&self) -> Result<(), StoreError> {
        let result = self.store.health().await;
        if let Err(error) = &result {
            tracing::warn!(event = "service.not_ready", %error, "not ready");
        }
        let answer = Answer { at: Instant::now(), result: result.clone() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        result
    }
}
