//! Making an order, once or however often it is asked for under one key.

use crate::accept;
use crate::content::{self, BodyType};
use crate::digest::Digest;
use crate::idempotency::idempotency_key;
use crate::order::{NewOrder, Order, OrderId, Timestamp};
use crate::problem::{Kind, Problem};
use crate::repo::{KeptAnswer, KeySlot, OrderRecord, RequestDigest, Written};
use crate::request::{Request, Response};
use crate::router::ORDERS;

use super::{ATTEMPTS, JSON, MAX_BODY, Services, order_response, parsed};

/// How long the answer under an idempotency key is kept, in milliseconds: 24 hours.
const KEPT_MS: u64 = 24 * 60 * 60 * 1000;

/// POST /api/v1/orders
pub(super) fn create_order(request: &mut dyn Request, services: &Services<'_>) -> Result<Response, Problem> {
    let body = request.body(MAX_BODY)?;
    accept::preferred(request, &[JSON])?;
    content::require(BodyType::Json, request)?;
    let key = idempotency_key(request)?;
    let new = NewOrder::from_json(parsed(&body)?)?;
    match key {
        None => create(new, services),
        Some(key) => create_once(&new, &key, &body, services),
    }
}

fn create(new: NewOrder, services: &Services<'_>) -> Result<Response, Problem> {
    let (mut order, event) = Order::create(new, services.now(), services.random.bytes16());
    for _ in 0..ATTEMPTS {
        let record = OrderRecord::of(order)?;
        if services.repo().create(&record, &event)? == Written::Done {
            return Ok(created(record));
        }
        order = record.into_order();
        order.id = OrderId::new(order.created_at, services.random.bytes16());
    }
    Err(lost())
}

/// Makes the order unless the key stands for one already; then answers as it was answered the first time.
///
/// There is no state between: of two requests that race, one commits, and the other one finds its answer.
fn create_once(new: &NewOrder, key: &str, body: &[u8], services: &Services<'_>) -> Result<Response, Problem> {
    let request = RequestDigest::of("POST", ORDERS, key);
    let fingerprint = Digest::of(&[body]).to_string();
    for _ in 0..ATTEMPTS {
        let now = services.now();
        let slot = match services.repo().kept(request, now)? {
            KeySlot::Kept(answer) if answer.fingerprint == fingerprint => return Ok(replay(answer)),
            KeySlot::Kept(_) => {
                return Err(Problem::new(
                    Kind::IdempotencyKeyReused,
                    "This Idempotency-Key came with another body before. A new request needs a new key.",
                ));
            }
            KeySlot::Free(slot) => slot,
        };
        let (order, event) = Order::create(new.clone(), now, services.random.bytes16());
        let record = OrderRecord::of(order)?;
        let response = created(record.clone());
        let answer = keep(&response, &fingerprint, now);
        if services.repo().create_kept(&record, &event, &slot, &answer)? == Written::Done {
            return Ok(response);
        }
    }
    Err(lost())
}

fn created(record: OrderRecord) -> Response {
    let location = format!("{ORDERS}/{}", record.order().id);
    order_response(201, record).header("location", location)
}

fn keep(response: &Response, fingerprint: &str, now: Timestamp) -> KeptAnswer {
    let headers = response.headers.iter().map(|(name, value)| (name.clone().into_owned(), value.clone()));
    KeptAnswer {
        fingerprint: fingerprint.to_owned(),
        status: response.status,
        headers: headers.collect(),
        expires: Timestamp::from_unix_ms(now.unix_ms().saturating_add(KEPT_MS)),
        body: response.body.clone(),
    }
}

fn replay(answer: KeptAnswer) -> Response {
    let mut response = Response { body: answer.body, ..Response::new(answer.status) };
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.header("idempotent-replayed", "true")
}

/// Every id made was taken, or every answer found under the key had vanished again: neither happens by chance.
fn lost() -> Problem {
    Problem::new(Kind::StoreUnavailable, "The order could not be stored, and nothing was changed. Try again.")
        .header("retry-after", "1")
        .cause("every attempt to create the order met a conflict".to_owned())
}
