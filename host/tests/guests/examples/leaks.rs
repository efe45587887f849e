//! Answers as `answers` does, and keeps 512 KiB of each request for ever.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Guest, IncomingRequest, OutgoingBody, ResponseOutparam, answer, stream};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        std::hint::black_box(vec![1_u8; 1 << 19].leak());
        let body = answer(out);
        stream(&body, b"hello\n", 1);
        let _ = OutgoingBody::finish(body, None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
