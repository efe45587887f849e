//! Responds like `answers`, but only after a delay.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Guest, IncomingRequest, OutgoingBody, ResponseOutparam, start_response, wasi::clocks::monotonic_clock,
    write_repeatedly,
};

/// 250 ms, many times longer than anything else in these tests takes.
const DELAY_NANOS: u64 = 250_000_000;

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        monotonic_clock::subscribe_duration(DELAY_NANOS).block();
        let body = start_response(out);
        write_repeatedly(&body, b"hello\n", 1);
        let _ = OutgoingBody::finish(body, None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
