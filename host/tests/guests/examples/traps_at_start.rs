//! Traps while an instance of it is made, before any request.

#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "an export of this name is what runs at the start")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam, trap};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, _: ResponseOutparam) {}
}

/// Called when an instance is made.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    trap()
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
