//! Computes forever.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam, wasi::cli::stdout::get_stdout};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, _: ResponseOutparam) {
        let _ = get_stdout().blocking_write_and_flush(b"spinning\n");
        let mut count = 0_u64;
        loop {
            count = std::hint::black_box(count.wrapping_add(1));
        }
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
