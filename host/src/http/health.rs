//! `/health` and `/ready`: served by the host, whatever the state of the component.
//!
//! `/health` reports whether the process is alive, also while it starts; a supervisor restarts it if not. `/ready` reports
//! whether the service should receive requests; a load balancer sends them elsewhere if not.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use http_body_util::Full;

use crate::{
    http::{readiness::Readiness, rejection::Rejection},
    lifecycle::shutdown::Phase,
};

/// A path that load balancers and supervisors request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `/health`
    Health,
    /// `/ready`
    Ready,
}

impl Probe {
    /// The probe at `path`, if there is one.
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "/health" => Some(Self::Health),
            "/ready" => Some(Self::Ready),
            _ => None,
        }
    }

    /// Responds to the probe. Without `readiness`, the service is still starting.
    ///
    /// # Errors
    ///
    /// [`Rejection`] if the method is neither GET nor HEAD, or if the service is not ready.
    pub async fn respond(
        self,
        method: &Method,
        phase: Phase,
        readiness: Option<&Arc<Readiness>>,
    ) -> Result<Response<Full<Bytes>>, Rejection> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Rejection::ReadOnly);
        }
        match self {
            Self::Health => Ok(json(r#"{"status":"ok"}"#)),
            Self::Ready if phase.is_draining() => Err(passing("it is shutting down")),
            Self::Ready => {
                match readiness {
                    Some(readiness) => readiness.ask().await.map_err(|error| Rejection::NotReady {
                        reason: error.public(),
                        passes: !error.persists(),
                    })?,
                    None if phase == Phase::AwaitingStore => return Err(passing("it waits for its store")),
                    None if phase == Phase::CheckingStore => {
                        return Err(passing("it checks its store, which was not closed"));
                    }
                    None => return Err(passing("it is starting")),
                }
                Ok(json(r#"{"status":"ready"}"#))
            }
        }
    }
}

fn passing(reason: &str) -> Rejection {
    Rejection::NotReady { reason: reason.to_owned(), passes: true }
}

fn json(text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
