//! Writes to the store at every request, and answers 200 whether or not it could.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Guest, IncomingRequest, OutgoingBody, ResponseOutparam, answer,
    orders::state::store::{Write, commit},
    stream,
};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let write = Write::Put(("written".into(), b"by a fixture".to_vec()));
        let said = if commit(&[], &[write]).is_ok() { &b"written\n"[..] } else { b"not written\n" };
        let body = answer(out);
        stream(&body, said, 1);
        let _ = OutgoingBody::finish(body, None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
