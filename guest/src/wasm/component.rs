//! The HTTP handler that the component exports. This is the only file that uses `wasi:http` and the clock, randomness and
//! standard error of WASI.

use std::borrow::Cow;

use super::{
    bindings::{
        exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam},
        wasi::{
            cli::stderr,
            clocks::{monotonic_clock, wall_clock},
            http::types::{ErrorCode, Fields, Method, OutgoingBody, OutgoingResponse, http_error_code},
            io::streams::{OutputStream, StreamError},
            random::random,
        },
    },
    wit_store::HostStore,
};
use crate::{
    handlers::{Services, fill_indexes, handle},
    platform::{BodyError, Clock, Random, Request, Response, WallTime},
};

/// The maximum number of bytes requested from a body at once.
const READ_CHUNK: u64 = 64 * 1024;
/// The maximum number of bytes that a blocking write accepts (`wasi:io/streams`).
const BLOCKING_WRITE: usize = 4096;

/// The export of the component.
pub(super) struct Component;

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        std::panic::set_hook(Box::new(|panic| log(&panic.to_string())));
        let mut request = Incoming::new(request);
        let services = Services { store: &HostStore, clock: &WasiPlatform, random: &WasiPlatform };
        let response = handle(&mut request, &services);
        if let Some(cause) = &response.cause {
            log(cause);
        }
        let fills_indexes = response.fills_indexes;
        send(out, response);
        if fills_indexes {
            fill_indexes(&services);
        }
    }
}

/// A request of `wasi:http`.
struct Incoming {
    request: IncomingRequest,
    /// Every field line, read with one call to the host.
    headers: Vec<(String, Vec<u8>)>,
    method: Method,
    path_and_query: String,
}

impl Incoming {
    fn new(request: IncomingRequest) -> Self {
        Self {
            headers: request.headers().entries(),
            method: request.method(),
            path_and_query: request.path_with_query().unwrap_or_default(),
            request,
        }
    }
}

impl Request for Incoming {
    fn method(&self) -> &str {
        match &self.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Other(name) => name,
        }
    }

    fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    fn header(&self, name: &str) -> Vec<&[u8]> {
        self.headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
            .collect()
    }

    fn body(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let too_large = |limit: usize| BodyError::TooLarge(u64::try_from(limit).unwrap_or(u64::MAX));
        let interrupted = |cause: &str| BodyError::Interrupted(cause.to_owned());
        let body = self.request.consume().map_err(|()| interrupted("the body has already been read"))?;
        let stream = body.stream().map_err(|()| interrupted("the body has already been read"))?;
        let content_length = self.content_length();
        let mut bytes = Vec::new();
        loop {
            // The host enforces Content-Length, so the end of the body does not need another call.
            if content_length.is_some_and(|length| u64::try_from(bytes.len()) == Ok(length)) {
                return Ok(bytes);
            }
            match stream.blocking_read(READ_CHUNK) {
                // Most bodies arrive in one piece.
                Ok(chunk) if bytes.is_empty() && chunk.len() <= limit => bytes = chunk,
                Ok(chunk) if bytes.len() + chunk.len() > limit => return Err(too_large(limit)),
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(StreamError::Closed) => return Ok(bytes),
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(match http_error_code(&error) {
                        // The host's own limit.
                        Some(ErrorCode::HttpRequestBodySize(Some(limit))) => BodyError::TooLarge(limit),
                        Some(ErrorCode::HttpRequestBodySize(None)) => too_large(limit),
                        _ => BodyError::Interrupted(error.to_debug_string()),
                    });
                }
            }
        }
    }
}

impl Incoming {
    /// 64 bits: `usize` has 32 here.
    fn content_length(&self) -> Option<u64> {
        let values = self.header("content-length");
        std::str::from_utf8(values.first()?).ok()?.parse().ok()
    }
}

/// The clock and randomness of WASI.
struct WasiPlatform;

impl Clock for WasiPlatform {
    fn now(&self) -> WallTime {
        let now = wall_clock::now();
        WallTime::new(now.seconds, now.nanoseconds)
    }

    fn monotonic_ns(&self) -> u64 {
        monotonic_clock::now()
    }

    fn wait(&self, ns: u64) {
        monotonic_clock::subscribe_duration(ns).block();
    }
}

impl Random for WasiPlatform {
    fn bytes16(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(random::get_random_bytes(16)) {
            *to = from;
        }
        bytes
    }
}

/// Sends the response. If the host no longer accepts it because the client has disconnected, the error is ignored.
fn send(out: ResponseOutparam, response: Response) {
    let outgoing = match head(response.status, response.headers) {
        Ok(outgoing) => outgoing,
        Err(cause) => {
            log(&format!("the host rejects the response: {cause}"));
            ResponseOutparam::set(out, Err(ErrorCode::InternalError(None)));
            return;
        }
    };
    if response.body.is_empty() {
        // No body is attached: the Content-Length of a response to HEAD is that of the omitted content.
        ResponseOutparam::set(out, Ok(outgoing));
        return;
    }
    let body = outgoing.body();
    ResponseOutparam::set(out, Ok(outgoing));
    let Ok(body) = body else { return };
    let written = body.write().is_ok_and(|stream| write_all(&stream, &response.body).is_ok());
    if written {
        // Fails if the length differs from Content-Length; the host then aborts the response.
        let _ = OutgoingBody::finish(body, None);
    }
}

fn head(status: u16, headers: Vec<(Cow<'static, str>, String)>) -> Result<OutgoingResponse, String> {
    let fields: Vec<(String, Vec<u8>)> =
        headers.into_iter().map(|(name, value)| (name.into_owned(), value.into_bytes())).collect();
    let fields = Fields::from_list(&fields).map_err(|error| format!("{error:?}"))?;
    let outgoing = OutgoingResponse::new(fields);
    outgoing.set_status_code(status).map_err(|()| format!("status {status}"))?;
    Ok(outgoing)
}

fn write_all(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        let permit = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        if permit == 0 {
            stream.subscribe().block();
            continue;
        }
        let (chunk, rest) = bytes.split_at(permit.min(bytes.len()));
        stream.write(chunk)?;
        bytes = rest;
    }
    Ok(())
}

/// Writes a line to standard error, for the log of the host. If the host does not read stderr, the line is lost.
fn log(line: &str) {
    let stderr = stderr::get_stderr();
    for chunk in format!("{line}\n").as_bytes().chunks(BLOCKING_WRITE) {
        if stderr.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
}
