//! Creating an order. With an idempotency key, repeated requests create it once.

use super::input::{MAX_BODY, parse_json};
use super::output::{JSON, order_response};
use super::services::{MAX_ATTEMPTS, Services};
use crate::headers::{BodyType, idempotency_key, negotiate, require_content_type};
use crate::order::{NewOrder, Order, OrderId, Timestamp};
use crate::platform::{Request, Response};
use crate::problem::{Kind, Problem};
use crate::repo::{KeyLookup, OrderRecord, RequestDigest, StoredResponse, WriteOutcome};
use crate::router::ORDERS;
use crate::values::Digest;

/// How long an idempotency key identifies its request, in milliseconds: 24 hours.
const KEY_LIFETIME_MS: u64 = 24 * 60 * 60 * 1000;

/// POST /api/v1/orders
pub(super) fn create_order(request: &mut dyn Request, services: &Services<'_>) -> Result<Response, Problem> {
    let body = request.body(MAX_BODY)?;
    negotiate(request, &[JSON])?;
    require_content_type(BodyType::Json, request)?;
    let key = idempotency_key(request)?;
    let new = NewOrder::from_json(parse_json(&body)?)?;
    match key {
        None => create(new, services),
        Some(key) => create_once(&new, &key, &body, services),
    }
}

fn create(new: NewOrder, services: &Services<'_>) -> Result<Response, Problem> {
    let (mut order, event) = Order::create(new, services.now(), services.random.bytes16());
    for _ in 0..MAX_ATTEMPTS {
        let record = OrderRecord::encode(order)?;
        if services.repo().create(&record, &event)? == WriteOutcome::Committed {
            return Ok(created_response(record));
        }
        order = record.into_order();
        order.id = OrderId::new(order.created_at, services.random.bytes16());
    }
    Err(attempts_exhausted())
}

/// Creates the order unless an earlier request with the key has created it; in that case, replays the first response.
///
/// There is no intermediate state: of two concurrent requests with the same key, one commits and the other replays its
/// response.
fn create_once(new: &NewOrder, key: &str, body: &[u8], services: &Services<'_>) -> Result<Response, Problem> {
    let request = RequestDigest::new("POST", ORDERS, key);
    let fingerprint = Digest::compute(&[body]).to_string();
    for _ in 0..MAX_ATTEMPTS {
        let now = services.now();
        let unused = match services.repo().look_up_key(request, now)? {
            KeyLookup::Used(response) if response.fingerprint == fingerprint => return Ok(replay(response)),
            KeyLookup::Used(_) => {
                return Err(Problem::new(
                    Kind::IdempotencyKeyReused,
                    "An earlier request used this Idempotency-Key with another body. Use a new key for a new request.",
                ));
            }
            KeyLookup::Unused(unused) => unused,
        };
        let (order, event) = Order::create(new.clone(), now, services.random.bytes16());
        let record = OrderRecord::encode(order)?;
        let response = created_response(record.clone());
        let stored = to_stored(&response, &fingerprint, now);
        if services.repo().create_with_key(&record, &event, &unused, &stored)? == WriteOutcome::Committed {
            return Ok(response);
        }
    }
    Err(attempts_exhausted())
}

fn created_response(record: OrderRecord) -> Response {
    let location = format!("{ORDERS}/{}", record.order().id);
    order_response(201, record).with_header("location", location)
}

fn to_stored(response: &Response, fingerprint: &str, now: Timestamp) -> StoredResponse {
    let headers = response.headers.iter().map(|(name, value)| (name.clone().into_owned(), value.clone()));
    StoredResponse {
        fingerprint: fingerprint.to_owned(),
        status: response.status,
        headers: headers.collect(),
        expires: Timestamp::from_unix_ms(now.unix_ms().saturating_add(KEY_LIFETIME_MS)),
        body: response.body.clone(),
    }
}

fn replay(stored: StoredResponse) -> Response {
    let mut response = Response { body: stored.body, ..Response::new(stored.status) };
    for (name, value) in stored.headers {
        response = response.with_header(name, value);
    }
    response.with_header("idempotent-replayed", "true")
}

/// Every attempt conflicted: each new id was in use, or each response found under the key had disappeared again. Neither
/// happens by chance.
fn attempts_exhausted() -> Problem {
    Problem::new(
        Kind::StoreUnavailable,
        "The order could not be stored, and nothing was changed. Retry the request.",
    )
    .with_header("retry-after", "1")
    .with_cause("every attempt to create the order conflicted with another commit".to_owned())
}
