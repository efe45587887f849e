//! Asks another server before it answers: 200 if the host let it, 418 if not.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Fields, Guest, IncomingRequest, OutgoingResponse, ResponseOutparam,
    wasi::http::{
        outgoing_handler,
        types::{OutgoingRequest, Scheme},
    },
};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let request = OutgoingRequest::new(Fields::new());
        let _ = request.set_scheme(Some(&Scheme::Http));
        let _ = request.set_authority(Some("localhost:1"));
        let response = OutgoingResponse::new(Fields::new());
        let refused = match outgoing_handler::handle(request, None) {
            Err(_) => true,
            Ok(future) => {
                future.subscribe().block();
                !matches!(future.get(), Some(Ok(Ok(_))))
            }
        };
        let _ = response.set_status_code(if refused { 418 } else { 200 });
        ResponseOutparam::set(out, Ok(response));
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
