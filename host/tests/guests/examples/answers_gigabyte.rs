//! Responds with 1 GiB, as fast as the host accepts it.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Guest, IncomingRequest, OutgoingBody, ResponseOutparam, start_response, write_repeatedly,
};

const CHUNK: usize = 16 * 1024;

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let body = start_response(out);
        write_repeatedly(&body, &[b'x'; CHUNK], (1 << 30) / CHUNK as u64);
        let _ = OutgoingBody::finish(body, None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
