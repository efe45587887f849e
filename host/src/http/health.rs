//! `/health` and `/ready`: answered by the host, whatever state the component is in.
//!
//! `/health` says that the process serves; a supervisor restarts it if not. `/ready` says that requests
//! should come here; a load balancer sends them elsewhere if not.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use http_body_util::Full;

use crate::{
    http::reject::Reject,
    lifecycle::shutdown::{Lifecycle, Phase},
    store::Store,
};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `/health`
    Health,
    /// `/ready`
    Ready,
}

impl Probe {
    /// The probe at `path`, if it is one.
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "/health" => Some(Self::Health),
            "/ready" => Some(Self::Ready),
            _ => None,
        }
    }

    /// Answers it.
    ///
    /// # Errors
    ///
    /// [`Reject`] for another method than GET or HEAD, or if the service is not ready.
    pub async fn answer(
        self,
        method: &Method,
        lifecycle: &Lifecycle,
        store: &dyn Store,
    ) -> Result<Response<Full<Bytes>>, Reject> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Reject::ReadOnly);
        }
        match self {
            Self::Health => Ok(say(r#"{"status":"ok"}"#)),
            Self::Ready if lifecycle.phase() != Phase::Serving => {
                Err(Reject::NotReady("it is shutting down".to_owned()))
            }
            Self::Ready => match store.health().await {
                Ok(()) => Ok(say(r#"{"status":"ready"}"#)),
                Err(error) => {
                    tracing::warn!(%error, "not ready");
                    Err(Reject::NotReady(error.to_string()))
                }
            },
        }
    }
}

fn say(json: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(json));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
