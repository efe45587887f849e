//! Sends the head and the first half of its response, then traps.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{Guest, IncomingRequest, ResponseOutparam, start_response, trap, write_repeatedly};

/// 1 MiB in all, more than the host buffers, so it must have started to send the response.
const CHUNKS: u64 = 1024;

struct Fixture;

impl Guest for Fixture {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let body = start_response(out);
        write_repeatedly(&body, &[b'x'; 1024], CHUNKS);
        trap()
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
