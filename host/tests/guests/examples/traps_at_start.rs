//! Traps during its instantiation, before any request.

#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "an export of this name runs during instantiation")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam, trap};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, _: ResponseOutparam) {}
}

/// Called during instantiation.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    trap()
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
