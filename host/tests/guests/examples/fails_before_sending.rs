//! Sets a small answer, then traps before it is finished.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam, answer, trap};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let _body = answer(out);
        trap()
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
