//! Does what the query of a request says, step by step, so that one build frames responses in every wrong way.
//!
//! The steps are separated by `&`, as in `/?length=5&head&write=3&drop`:
//!
//! | step | meaning |
//! |---|---|
//! | `read` | reads the request's body to its end |
//! | `or=N`, `or=trap` | if that failed: responds with status N, or traps; the rest of the query is ignored |
//! | `status=N`, `length=N`, `type=T` | the status, `Content-Length` and `Content-Type` of the head |
//! | `head` | sends the head |
//! | `bare` | sends the head, and never takes the resource of the body |
//! | `write=N` | writes N bytes, as fast as the host accepts them |
//! | `tick` | writes a frame of [`TICK`] |
//! | `ticks=N` | writes such a frame every N ms for ever |
//! | `finish` | finishes the body |
//! | `drop` | drops the body |
//! | `wait=N`, `compute=N` | waits or computes for N ms |
//! | `hang` | waits forever |
//! | `print=T` | prints a line |
//! | `trap` | traps |
//!
//! A body that is neither finished nor dropped is left as it is.

#![cfg(target_arch = "wasm32")]

use std::mem;

use orders_fixtures::{
    Fields, Guest, IncomingRequest, OutgoingBody, OutgoingResponse, OutputStream, ResponseOutparam,
    read_body, trap,
    wasi::{cli::stdout::get_stdout, clocks::monotonic_clock},
    write_to,
};

/// One frame of a stream, as `text/event-stream` writes it.
const TICK: &[u8] = b"data: tick\n\n";
const NANOS_PER_MILLI: u64 = 1_000_000;

struct Fixture;

impl Guest for Fixture {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let mut script =
            Script { request, out: Some(out), status: 200, fields: Fields::new(), body: None, read: true };
        for step in query.split('&') {
            let (name, value) = step.split_once('=').unwrap_or((step, ""));
            if script.step(name, value).is_break() {
                break;
            }
        }
        mem::forget(script.body);
    }
}

struct Script {
    request: IncomingRequest,
    out: Option<ResponseOutparam>,
    status: u16,
    fields: Fields,
    body: Option<(OutgoingBody, OutputStream)>,
    /// Whether the request's body could be read.
    read: bool,
}

impl Script {
    fn step(&mut self, name: &str, value: &str) -> std::ops::ControlFlow<()> {
        let number: u64 = value.parse().unwrap_or_default();
        match name {
            "read" => self.read = read_body(&self.request).is_some(),
            "or" if !self.read && value == "trap" => trap(),
            "or" if !self.read => {
                self.status = value.parse().unwrap_or(200);
                self.head(true);
                self.finish();
                return std::ops::ControlFlow::Break(());
            }
            "status" => self.status = value.parse().unwrap_or(200),
            "length" => self.field("content-length", value),
            "type" => self.field("content-type", value),
            "head" => self.head(true),
            "bare" => self.head(false),
            "write" => self.write(&vec![b'x'; usize::try_from(number).unwrap_or_default()]),
            "tick" => self.write(TICK),
            "ticks" => loop {
                self.write(TICK);
                wait(number);
            },
            "finish" => self.finish(),
            "drop" => self.body = self.body.take().and_then(drop_body),
            "wait" => wait(number),
            "compute" => compute(number),
            "hang" => monotonic_clock::subscribe_duration(u64::MAX / 2).block(),
            "print" => drop(get_stdout().blocking_write_and_flush(format!("{value}\n").as_bytes())),
            "trap" => trap(),
            _ => {}
        }
        std::ops::ControlFlow::Continue(())
    }

    fn field(&self, name: &str, value: &str) {
        let _ = self.fields.set(name, &[value.as_bytes().to_vec()]);
    }

    fn head(&mut self, takes_body: bool) {
        let response = OutgoingResponse::new(self.fields.clone());
        if response.set_status_code(self.status).is_err() {
            trap();
        }
        if takes_body {
            let body = response.body().unwrap_or_else(|()| trap());
            let stream = body.write().unwrap_or_else(|()| trap());
            self.body = Some((body, stream));
        }
        ResponseOutparam::set(self.out.take().unwrap_or_else(|| trap()), Ok(response));
    }

    fn write(&self, bytes: &[u8]) {
        if let Some((_, stream)) = &self.body {
            write_to(stream, bytes);
        }
    }

    fn finish(&mut self) {
        if let Some((body, stream)) = self.body.take() {
            drop(stream);
            let _ = OutgoingBody::finish(body, None);
        }
    }
}

/// Drops a body after its stream, as its parent must be.
fn drop_body((body, stream): (OutgoingBody, OutputStream)) -> Option<(OutgoingBody, OutputStream)> {
    drop(stream);
    drop(body);
    None
}

fn wait(millis: u64) {
    monotonic_clock::subscribe_duration(millis.saturating_mul(NANOS_PER_MILLI)).block();
}

fn compute(millis: u64) {
    let end = monotonic_clock::now() + millis * NANOS_PER_MILLI;
    while monotonic_clock::now() < end {}
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
