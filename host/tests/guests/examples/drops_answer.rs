//! Throws away its chance to answer, then waits for something that never comes.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam, wasi::clocks::monotonic_clock};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        drop(out);
        // The host looks again after each.
        for _ in 0..3 {
            monotonic_clock::subscribe_duration(1_000_000).block();
        }
        monotonic_clock::subscribe_duration(u64::MAX / 2).block();
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
