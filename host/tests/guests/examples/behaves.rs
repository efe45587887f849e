//! Behaves as a marker in the component says, so that one build yields every behaviour: a test or a measurement replaces the
//! marker by another text of the same length. Responds with its version.
//!
//! The marker contains words separated by spaces, and dots up to its end:
//!
//! | word | meaning |
//! |---|---|
//! | `version=N` | the version in the body, one character |
//! | `wait=N` | waits N ms before anything else |
//! | `share=N` | only N % of the requests, at random, have what follows |
//! | `status=N` | responds with this status |
//! | `trap` | traps |
//! | `strict` | traps on a request with an invalid `Host`, or with a body that cannot be read |
//! | `hang` | waits forever |
//! | `spin` | computes forever |
//! | `eat=N` | fills N MiB of memory, and then computes forever |

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Fields, Guest, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam, is_authority,
    read_body, trap,
    wasi::{clocks::monotonic_clock, random::random::get_random_u64},
    write_repeatedly,
};

static MARKER: [u8; 64] = *b"behaviour: version=1............................................";

struct Fixture;

impl Guest for Fixture {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        // The compiler must not assume that the marker in the component is this one.
        let marker = std::hint::black_box(&MARKER);
        let marker = str::from_utf8(marker).unwrap_or_default().trim_end_matches('.');
        let value = |name| {
            marker.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
        };
        let number = |name| value(name).parse::<u64>().ok();
        let says = |name| marker.split(' ').any(|word| word == name);

        if let Some(millis) = number("wait") {
            monotonic_clock::subscribe_duration(millis.saturating_mul(1_000_000)).block();
        }
        let misbehaves = get_random_u64() % 100 < number("share").unwrap_or(100);
        if misbehaves {
            if says("trap") {
                trap();
            }
            if says("strict") && !(has_valid_host(&request) && read_body(&request).is_some()) {
                trap();
            }
            if says("hang") {
                monotonic_clock::subscribe_duration(u64::MAX / 2).block();
            }
            if let Some(mebibytes) = number("eat") {
                std::hint::black_box(vec![1_u8; usize::try_from(mebibytes << 20).unwrap_or_default()]).leak();
                spin();
            }
            if says("spin") {
                spin();
            }
        }
        let status = number("status").filter(|_| misbehaves).and_then(|status| u16::try_from(status).ok());
        respond(out, status.unwrap_or(200), value("version"));
    }
}

fn has_valid_host(request: &IncomingRequest) -> bool {
    request.authority().is_some_and(|authority| is_authority(&authority))
}

fn spin() -> ! {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

fn respond(out: ResponseOutparam, status: u16, version: &str) {
    let text = format!("version {version}\n");
    let fields = Fields::new();
    let _ = fields.set("content-length", &[text.len().to_string().into_bytes()]);
    let response = OutgoingResponse::new(fields);
    let _ = response.set_status_code(status);
    let body = response.body().unwrap_or_else(|()| trap());
    ResponseOutparam::set(out, Ok(response));
    write_repeatedly(&body, text.as_bytes(), 1);
    let _ = OutgoingBody::finish(body, None);
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
