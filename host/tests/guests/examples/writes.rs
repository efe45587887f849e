//! Writes to the store on every request, and responds with 200 whether or not the write succeeded.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Guest, IncomingRequest, OutgoingBody, ResponseOutparam,
    orders::state::store::{Write, commit},
    start_response, write_repeatedly,
};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let write = Write::Put(("written".into(), b"by a fixture".to_vec()));
        let text = if commit(&[], &[write]).is_ok() { &b"written\n"[..] } else { b"not written\n" };
        let body = start_response(out);
        write_repeatedly(&body, text, 1);
        let _ = OutgoingBody::finish(body, None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
