//! Counts the requests that its memory has seen.

#![cfg(target_arch = "wasm32")]

use std::sync::atomic::{AtomicU32, Ordering};

use orders_fixtures::{Guest, IncomingRequest, OutgoingBody, ResponseOutparam, answer, stream};

static SEEN: AtomicU32 = AtomicU32::new(0);

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let seen = SEEN.fetch_add(1, Ordering::Relaxed) + 1;
        let body = answer(out);
        stream(&body, format!("request {seen} of this instance").as_bytes(), 1);
        let _ = OutgoingBody::finish(body, None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
