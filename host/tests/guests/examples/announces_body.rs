//! Announces a body of 100 bytes, sends none, and keeps running for 10 ms.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Fields, Guest, IncomingRequest, OutgoingResponse, ResponseOutparam, wasi::clocks::monotonic_clock,
};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let fields = Fields::new();
        let _ = fields.append("content-length", b"100");
        ResponseOutparam::set(out, Ok(OutgoingResponse::new(fields)));
        monotonic_clock::subscribe_duration(10_000_000).block();
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
