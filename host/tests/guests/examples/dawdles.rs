//! Answers as `answers` does, but only after a while.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Guest, IncomingRequest, OutgoingBody, ResponseOutparam, answer, stream, wasi::clocks::monotonic_clock,
};

/// In nanoseconds: 250 ms, many times what anything takes here.
const WHILE: u64 = 250_000_000;

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        monotonic_clock::subscribe_duration(WHILE).block();
        let body = answer(out);
        stream(&body, b"hello\n", 1);
        let _ = OutgoingBody::finish(body, None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
