//! For the path `/N` it says so and takes N million steps before it responds; `/forever` never responds, and any other path
//! takes no step.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Guest, IncomingRequest, OutgoingBody, ResponseOutparam, start_response, wasi::cli::stdout::get_stdout,
    write_repeatedly,
};

struct Fixture;

impl Guest for Fixture {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let steps = match path.trim_start_matches('/') {
            "forever" => u64::MAX,
            millions => millions.parse().map_or(0, |millions: u64| millions * 1_000_000),
        };
        if steps > 0 {
            let _ = get_stdout().blocking_write_and_flush(b"computing\n");
        }
        let mut random = 1_u64;
        for _ in 0..steps {
            // Xorshift: the compiler can neither skip nor reorder the steps.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
        }
        std::hint::black_box(random);
        let body = start_response(out);
        write_repeatedly(&body, b"hello\n", 1);
        let _ = OutgoingBody::finish(body, None);
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
