//! Prints 8 MiB to stdout in lines of one byte, and 8 MiB to stderr in a single line, then responds.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Guest, IncomingRequest, OutgoingBody, ResponseOutparam, start_response,
    wasi::cli::{stderr::get_stderr, stdout::get_stdout},
};

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let (stdout, stderr) = (get_stdout(), get_stderr());
        let lines = b"x\n".repeat(2048);
        for _ in 0..(8 << 20) / 4096 {
            let _ = stdout.blocking_write_and_flush(&lines);
            let _ = stderr.blocking_write_and_flush(&[b'x'; 4096]);
        }
        let _ = OutgoingBody::finish(start_response(out), None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
