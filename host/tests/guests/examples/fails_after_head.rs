//! Sends the head and the first half of its answer, then traps.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam, answer, stream, trap};

/// Enough that the host must have begun to send it: it holds back less than this.
const HALF: u64 = 1024;

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let body = answer(out);
        stream(&body, &[b'x'; 1024], HALF);
        trap()
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
