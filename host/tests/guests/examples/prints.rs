//! Prints to both of its streams: whole lines, a line in two writes, and an end without a newline.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Guest, IncomingRequest, OutgoingBody, ResponseOutparam, answer,
    wasi::cli::{stderr, stdout},
};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let _ = stdout::get_stdout().blocking_write_and_flush(b"first line\nsecond ");
        let _ = stdout::get_stdout().blocking_write_and_flush(b"line\n");
        let _ = stderr::get_stderr().blocking_write_and_flush(b"no newline");
        let _ = OutgoingBody::finish(answer(out), None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
