//! Responds with 103, which is not a final status.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Fields, Guest, IncomingRequest, OutgoingResponse, ResponseOutparam};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let response = OutgoingResponse::new(Fields::new());
        let _ = response.set_status_code(103);
        ResponseOutparam::set(out, Ok(response));
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
