//! Traps before it responds.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam, trap};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, _: ResponseOutparam) {
        trap()
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
