//! Counts the requests that this instance has handled. On demand, it does things that could let one request see data of another,
//! or after which a host must not reuse the instance.

#![cfg(target_arch = "wasm32")]

use core::sync::atomic::{AtomicU32, Ordering};

use orders_fixtures::{
    Fields, Guest, IncomingRequest, OutgoingBody, ResponseOutparam, start_response, trap,
    wasi::cli::stderr::get_stderr, write_repeatedly,
};

static SEEN: AtomicU32 = AtomicU32::new(0);

/// The value that `/mark` and `/grow` write to memory.
const MARK: u64 = 0x5EC2_E7D0_5EC2_E7D0;
/// Marks written by `/mark`: 8 KiB.
const MARKS: usize = 1 << 10;
/// Marks written by `/grow`: 2 MiB, so that the memory has to grow.
const MARKS_GROWING: usize = 1 << 18;
const PAGE_BYTES: usize = 65_536;

struct Fixture;

impl Guest for Fixture {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let seen = SEEN.fetch_add(1, Ordering::Relaxed) + 1;
        match request.path_with_query().as_deref() {
            Some("/mark") => _ = vec![MARK; MARKS].leak(),
            Some("/grow") => _ = vec![MARK; MARKS_GROWING].leak(),
            Some("/marks") => return respond(out, &format!("{} marks", count_marks())),
            Some("/keep") => core::mem::forget(Fields::new()),
            Some("/print") => _ = get_stderr().blocking_write_and_flush(format!("line {seen}").as_bytes()),
            Some("/trap") => trap(),
            Some("/spin") => loop {
                core::hint::spin_loop();
            },
            _ => {}
        }
        respond(out, &format!("request {seen} of this instance"));
    }
}

fn respond(out: ResponseOutparam, text: &str) {
    let body = start_response(out);
    write_repeatedly(&body, text.as_bytes(), 1);
    let _ = OutgoingBody::finish(body, None);
}

/// Counts the marks in the whole linear memory, including freed and unused parts.
#[allow(unsafe_code, reason = "the purpose is to read memory that no allocation owns")]
fn count_marks() -> usize {
    let words = core::arch::wasm32::memory_size::<0>() * PAGE_BYTES / size_of::<u64>();
    let first = core::ptr::without_provenance::<u64>(size_of::<u64>());
    // SAFETY: the memory has this many words, all of them are initialized, and no other code runs meanwhile.
    let memory = unsafe { core::slice::from_raw_parts(first, words - 1) };
    memory.iter().filter(|word| **word == MARK).count()
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
