//! The response to an earlier request with the same idempotency key.

use super::services::Services;
use crate::platform::Response;
use crate::problem::{Kind, Problem};
use crate::repo::{ExpiredResponse, KeyLookup, RequestDigest, StoredResponse};
use crate::values::Digest;

/// A request with an idempotency key.
#[derive(Debug, Clone)]
pub(super) struct KeyedRequest {
    pub(super) digest: RequestDigest,
    /// Tells another request with the same key from a repetition.
    pub(super) fingerprint: String,
}

impl KeyedRequest {
    pub(super) fn new(method: &str, path: &str, key: &str, body: &[u8]) -> Self {
        let fingerprint = Digest::compute(&[body]).to_string();
        Self { digest: RequestDigest::new(method, path, key), fingerprint }
    }

    /// Replays the response to an earlier request with the key. Without one, returns what is left of an expired one.
    ///
    /// # Errors
    /// [`Kind::IdempotencyKeyReused`] if the earlier request had another body.
    pub(super) fn replay(
        &self,
        services: &Services<'_>,
    ) -> Result<Result<Response, Option<ExpiredResponse>>, Problem> {
        match services.repo().look_up_key(self.digest, services.now())? {
            KeyLookup::Unused(expired) => Ok(Err(expired)),
            KeyLookup::Used(response) if response.fingerprint == self.fingerprint => {
                Ok(Ok(replayed(response)))
            }
            KeyLookup::Used(_) => Err(Problem::new(
                Kind::IdempotencyKeyReused,
                "An earlier request used this Idempotency-Key with another body. Use a new key for a new request.",
            )),
        }
    }
}

fn replayed(stored: StoredResponse) -> Response {
    let mut response = Response { body: stored.body, ..Response::new(stored.status) };
    for (name, value) in stored.headers {
        response = response.with_header(name, value);
    }
    response.with_header("idempotent-replayed", "true")
}
