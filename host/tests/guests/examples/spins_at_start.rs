//! Never finishes its instantiation.

#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "an export of this name runs during instantiation")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, _: ResponseOutparam) {}
}

/// Called during instantiation.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
