//! Returns an error code instead of a response.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam, wasi::http::types::ErrorCode};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("no idea".into()))));
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
