//! Waits forever without computing.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Guest, IncomingRequest, ResponseOutparam,
    wasi::{cli::stdout::get_stdout, clocks::monotonic_clock},
};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, _: ResponseOutparam) {
        let _ = get_stdout().blocking_write_and_flush(b"waiting\n");
        monotonic_clock::subscribe_duration(u64::MAX / 2).block();
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
