//! Counts the requests that its memory has seen, and does on demand what could let one request see another, or what a
//! host must not use an instance again after.

#![cfg(target_arch = "wasm32")]

use core::sync::atomic::{AtomicU32, Ordering};

use orders_fixtures::{
    Fields, Guest, IncomingRequest, OutgoingBody, ResponseOutparam, answer, stream, trap,
    wasi::cli::stderr::get_stderr,
};

static SEEN: AtomicU32 = AtomicU32::new(0);

/// What is written all over the memory.
const MARK: u64 = 0x5EC2_E7D0_5EC2_E7D0;
/// How often: 8 KiB, or with growing 2 MiB.
const MARKS: usize = 1 << 10;
const GROWING: usize = 1 << 18;
const PAGE: usize = 65_536;

struct Fixture;

impl Guest for Fixture {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let seen = SEEN.fetch_add(1, Ordering::Relaxed) + 1;
        match request.path_with_query().as_deref() {
            Some("/mark") => _ = vec![MARK; MARKS].leak(),
            Some("/grow") => _ = vec![MARK; GROWING].leak(),
            Some("/marks") => return say(out, &format!("{} marks", marks())),
            Some("/keep") => core::mem::forget(Fields::new()),
            Some("/print") => _ = get_stderr().blocking_write_and_flush(format!("line {seen}").as_bytes()),
            Some("/trap") => trap(),
            Some("/spin") => loop {
                core::hint::spin_loop();
            },
            _ => {}
        }
        say(out, &format!("request {seen} of this instance"));
    }
}

fn say(out: ResponseOutparam, text: &str) {
    let body = answer(out);
    stream(&body, text.as_bytes(), 1);
    let _ = OutgoingBody::finish(body, None);
}

/// How many marks there are in all of the memory, wherever they lie.
#[allow(unsafe_code, reason = "to look at memory that belongs to nobody is the point")]
fn marks() -> usize {
    let words = core::arch::wasm32::memory_size::<0>() * PAGE / size_of::<u64>();
    let first = core::ptr::without_provenance::<u64>(size_of::<u64>());
    // SAFETY: the memory has so many words, all of them initialized, and nothing else runs meanwhile.
    let memory = unsafe { core::slice::from_raw_parts(first, words - 1) };
    memory.iter().filter(|word| **word == MARK).count()
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
