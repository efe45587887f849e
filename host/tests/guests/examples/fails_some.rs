//! Responds like `answers`, but to one request in five, at random, with 500.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Fields, Guest, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam, start_response,
    wasi::random::random::get_random_u64, write_repeatedly,
};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        if get_random_u64().is_multiple_of(5) {
            let response = OutgoingResponse::new(Fields::new());
            let _ = response.set_status_code(500);
            return ResponseOutparam::set(out, Ok(response));
        }
        let body = start_response(out);
        write_repeatedly(&body, b"hello\n", 1);
        let _ = OutgoingBody::finish(body, None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
