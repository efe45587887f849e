//! Takes 300 million steps to instantiate, then responds with an empty body.

#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "an export of this name runs during instantiation")]

use orders_fixtures::{Guest, IncomingRequest, OutgoingBody, ResponseOutparam, start_response};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let _ = OutgoingBody::finish(start_response(out), None);
    }
}

/// Called during instantiation.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    let mut step = 0_u64;
    while step < 300_000_000 {
        step = std::hint::black_box(step + 1);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
