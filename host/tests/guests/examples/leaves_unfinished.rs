//! Sends half of its response and returns without finishing it.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam, start_response, write_repeatedly};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let body = start_response(out);
        write_repeatedly(&body, &[b'x'; 1024], 1024);
        // Neither finished nor dropped.
        std::mem::forget(body);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
