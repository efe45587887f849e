//! Answers as `answers` does, but one request in five with 500.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Fields, Guest, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam, answer, stream,
    wasi::random::random::get_random_u64,
};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        if get_random_u64().is_multiple_of(5) {
            let response = OutgoingResponse::new(Fields::new());
            let _ = response.set_status_code(500);
            return ResponseOutparam::set(out, Ok(response));
        }
        let body = answer(out);
        stream(&body, b"hello\n", 1);
        let _ = OutgoingBody::finish(body, None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
