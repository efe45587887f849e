//! Traps on requests for `/trap`; echoes the body of all other requests.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Guest, IncomingRequest, OutgoingBody, ResponseOutparam, start_response, trap, write_repeatedly,
};

struct Fixture;

impl Guest for Fixture {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        if request.path_with_query().as_deref() == Some("/trap") {
            trap();
        }
        let bytes = request.consume().and_then(|body| {
            let bytes = body.stream()?.blocking_read(64 * 1024);
            bytes.map_err(|_| ())
        });
        let body = start_response(out);
        write_repeatedly(&body, &bytes.unwrap_or_default(), 1);
        let _ = OutgoingBody::finish(body, None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
