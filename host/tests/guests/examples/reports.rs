//! Reports the request that it received, as lines: `method`, `scheme`, `authority`, `target`, each field, and the `length` and
//! the content of its body, with everything but printable characters replaced.

#![cfg(target_arch = "wasm32")]

use orders_fixtures::{
    Fields, Guest, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam, read_body, trap,
    write_repeatedly,
};

/// The part of a body that is reported.
const MAX_REPORTED: usize = 256;

struct Fixture;

impl Guest for Fixture {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let mut report = format!(
            "method {:?}\nscheme {:?}\nauthority {}\ntarget {}\n",
            request.method(),
            request.scheme(),
            request.authority().unwrap_or_default(),
            request.path_with_query().unwrap_or_default(),
        );
        for (name, value) in request.headers().entries() {
            report.push_str(&format!("field {name}: {}\n", printable(&value)));
        }
        match read_body(&request) {
            Some(body) => {
                let start = body.get(..MAX_REPORTED).unwrap_or(&body);
                report.push_str(&format!("length {}\nbody {}\n", body.len(), printable(start)));
            }
            None => report.push_str("body failed\n"),
        }
        let fields = Fields::new();
        let _ = fields.set("content-length", &[report.len().to_string().into_bytes()]);
        let response = OutgoingResponse::new(fields);
        let body = response.body().unwrap_or_else(|()| trap());
        ResponseOutparam::set(out, Ok(response));
        write_repeatedly(&body, report.as_bytes(), 1);
        let _ = OutgoingBody::finish(body, None);
    }
}

/// The body; `None` if it fails.
fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' }).collect()
}

orders_fixtures::export!(Fixture with_types_in orders_fixtures);
