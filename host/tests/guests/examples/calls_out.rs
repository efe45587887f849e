//! For the target `/http/AUTHORITY/PATH` it sends a request to that server, and responds with the status and the length of the
//! body that it receives. If that fails, it retries once, and then responds with 418 and the reason.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Fields, Guest, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam, StreamError, trap,
    wasi::http::{
        outgoing_handler,
        types::{ErrorCode, OutgoingRequest, Scheme},
    },
    write_repeatedly,
};

struct Fixture;

impl Guest for Fixture {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (status, text) = match fetch(&target).or_else(|_| fetch(&target)) {
            Ok((status, length)) => (200, format!("{status} {length}")),
            Err(code) => (418, format!("{code:?}")),
        };
        let response = OutgoingResponse::new(Fields::new());
        let _ = response.set_status_code(status);
        let body = response.body().unwrap_or_else(|()| trap());
        ResponseOutparam::set(out, Ok(response));
        write_repeatedly(&body, text.as_bytes(), 1);
        let _ = OutgoingBody::finish(body, None);
    }
}

fn fetch(target: &str) -> Result<(u16, usize), ErrorCode> {
    let mut parts = target.splitn(4, '/').skip(1);
    let scheme = if parts.next() == Some("https") { Scheme::Https } else { Scheme::Http };
    let request = OutgoingRequest::new(Fields::new());
    let _ = request.set_scheme(Some(&scheme));
    let _ = request.set_authority(parts.next());
    let _ = request.set_path_with_query(Some(&format!("/{}", parts.next().unwrap_or_default())));
    let future = outgoing_handler::handle(request, None)?;
    future.subscribe().block();
    let response = future.get().and_then(Result::ok).unwrap_or_else(|| trap())?;
    let body = response.consume().unwrap_or_else(|()| trap());
    let stream = body.stream().unwrap_or_else(|()| trap());
    let mut length = 0;
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(bytes) => length += bytes.len(),
            Err(StreamError::Closed) => return Ok((response.status(), length)),
            Err(StreamError::LastOperationFailed(_)) => return Err(ErrorCode::HttpResponseIncomplete),
        }
    }
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
