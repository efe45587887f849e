//! Creating an order. With an idempotency key, repeated requests create it once.

use super::checked::Checked;
use super::input::parse_json;
use super::output::order_response;
use super::replay::KeyedRequest;
use super::services::Services;
use crate::order::{NewOrder, Order, OrderId, Timestamp};
use crate::platform::Response;
use crate::problem::{Kind, Problem};
use crate::repo::{KeyedOutcome, OrderRecord, StoredResponse, WriteOutcome};
use crate::router::ORDERS;

/// How long an idempotency key identifies its request, in milliseconds: 24 hours.
const KEY_LIFETIME_MS: u64 = 24 * 60 * 60 * 1000;

/// How often a create is tried: it fails only if its id is in use, or if what was stored under its key has gone meanwhile.
const MAX_ATTEMPTS: usize = 4;

/// One in this many creates fills the indexes.
const FILL_ONE_IN: u8 = 64;

/// POST /api/v1/orders
pub(super) fn create_order(checked: &mut Checked<'_>, services: &Services<'_>) -> Result<Response, Problem> {
    let new = NewOrder::from_json(parse_json(checked.body)?)?;
    match checked.key {
        None => create(new, services),
        Some(key) => create_once(&new, &KeyedRequest::new("POST", ORDERS, key, checked.body), services),
    }
}

fn create(new: NewOrder, services: &Services<'_>) -> Result<Response, Problem> {
    let now = services.clock.now();
    let created_at = Timestamp::from_unix_ms(now.unix_ms);
    let (mut order, event) = Order::create(new, created_at, now.sub_ms_ns, services.random.bytes16());
    for _ in 0..MAX_ATTEMPTS {
        let record = OrderRecord::new(&order)?;
        if services.repo().create(&record, &event)? == WriteOutcome::Committed {
            return Ok(created_response(record));
        }
        order.id = OrderId::new(created_at, now.sub_ms_ns, services.random.bytes16());
    }
    Err(attempts_exhausted())
}

/// Creates the order unless an earlier request with the key has created it; in that case, replays the first response. The order is
/// committed first, because most keys are new: only a conflict shows an earlier request.
///
/// There is no intermediate state: of two concurrent requests with the same key, one commits and the other replays its
/// response.
fn create_once(new: &NewOrder, request: &KeyedRequest, services: &Services<'_>) -> Result<Response, Problem> {
    let mut expired = None;
    for _ in 0..MAX_ATTEMPTS {
        let now = services.clock.now();
        let created_at = Timestamp::from_unix_ms(now.unix_ms);
        let (order, event) = Order::create(new.clone(), created_at, now.sub_ms_ns, services.random.bytes16());
        let record = OrderRecord::new(&order)?;
        let response = created_response(record.clone());
        let stored = to_stored(&response, request, created_at);
        match services.repo().create_with_key(&record, &event, request.digest, expired, &stored)? {
            KeyedOutcome::Committed => return Ok(response),
            KeyedOutcome::IdInUse => {}
            KeyedOutcome::KeyInUse => match request.replay(services)? {
                Ok(response) => return Ok(response),
                Err(found) => expired = found,
            },
        }
    }
    Err(attempts_exhausted())
}

fn created_response(record: OrderRecord) -> Response {
    let id = record.id();
    // The random part of the id.
    let [.., chance, _, _, _, _] = id.bytes();
    let response = order_response(201, record.into_wire()).with_header("location", format!("{ORDERS}/{id}"));
    Response { fills_indexes: chance % FILL_ONE_IN == 0, ..response }
}

fn to_stored(response: &Response, request: &KeyedRequest, now: Timestamp) -> StoredResponse {
    let headers = response.headers.iter().map(|(name, value)| (name.clone().into_owned(), value.clone()));
    StoredResponse {
        fingerprint: request.fingerprint.clone(),
        status: response.status,
        headers: headers.collect(),
        expires: Timestamp::from_unix_ms(now.unix_ms().saturating_add(KEY_LIFETIME_MS)),
        body: response.body.clone(),
    }
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
