//! Drops its response outparam, then waits forever.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam, wasi::clocks::monotonic_clock};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        drop(out);
        // Each wait gives the host another opportunity to notice.
        for _ in 0..3 {
            monotonic_clock::subscribe_duration(1_000_000).block();
        }
        monotonic_clock::subscribe_duration(u64::MAX / 2).block();
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
