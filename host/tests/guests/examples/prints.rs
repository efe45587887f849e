//! Prints to stdout and stderr: whole lines, a line split over two writes, lines with a
//! carriage return, and a last line without a newline.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Guest, IncomingRequest, OutgoingBody, ResponseOutparam, start_response,
    wasi::cli::{stderr, stdout},
};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let _ = stdout::get_stdout().blocking_write_and_flush(b"first line\nsecond ");
        let _ = stdout::get_stdout().blocking_write_and_flush(b"line\n");
        let _ = stdout::get_stdout().blocking_write_and_flush(b"third line\r\n50 %\r100 %\0\n");
        let _ = stderr::get_stderr().blocking_write_and_flush(b"no newline");
        let _ = OutgoingBody::finish(start_response(out), None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
