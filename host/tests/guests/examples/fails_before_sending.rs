//! Starts a small response, then traps before it is complete.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam, start_response, trap};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let _body = start_response(out);
        trap()
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
