//! Creates header maps without limit and drops none.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Fields, Guest, IncomingRequest, ResponseOutparam};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, _: ResponseOutparam) {
        loop {
            let fields = Fields::new();
            let _ = fields.append("x-hoard", &[b'x'; 4096]);
            std::mem::forget(fields);
        }
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
