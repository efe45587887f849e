//! The body of a request, as the component reads it: complete, or with the error that it is too large.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{Error as HttpError, WasiHttpView, p2::bindings::http::types::ErrorCode};

use crate::sandbox::{failure::Failure, instance::InstanceState};

/// The interface of HTTP messages, as named in wasmtime's linker.
pub(super) const TYPES: &str = "wasi:http/types@0.2.12";

/// The body of a request.
///
/// Whether the response to a body that is too large is 404, 405 or 413 depends on the requested route, which only the
/// component knows. So the component is called with a body that fails when it is read.
#[derive(Debug)]
pub enum RequestBody {
    /// The complete body.
    Whole(Full<Bytes>),
    /// The body is too large. Reading it fails with the code `HTTP-request-body-size`.
    TooLarge(TooLarge),
}

/// A body that is too large, and whether the component knows. Clones share that.
#[derive(Clone, Debug)]
pub struct TooLarge {
    /// The largest size that is accepted, in bytes.
    max: u64,
    told: Arc<AtomicBool>,
}

impl TooLarge {
    /// A body of more than `max` bytes.
    pub fn new(max: u64) -> Self {
        Self { max, told: Arc::default() }
    }

    /// The failure of a call whose component has read the body, if it responds with `status`. A component that does not expect a
    /// body to fail is not to blame for what it makes of it.
    pub fn failure(&self, status: Option<StatusCode>) -> Option<Failure> {
        let expected = status == Some(StatusCode::PAYLOAD_TOO_LARGE);
        (self.told.load(Ordering::Relaxed) && !expected).then_some(Failure::BodyTooLarge(self.max))
    }
}

impl RequestBody {
    /// Adds the Content-Length of a body that was sent in chunks, as in RFC 9112, section 7.1.3: the component does
    /// not see the chunks, and could not tell that there is a body without reading it. For a body that is too large,
    /// the value is its minimum length.
    pub fn set_content_length(&self, headers: &mut HeaderMap) {
        let length = match self {
            Self::Whole(body) => body.size_hint().lower(),
            Self::TooLarge(too_large) => too_large.max.saturating_add(1),
        };
        if length > 0 {
            headers.entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
        }
    }
}

impl Default for RequestBody {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match &mut *self {
            Self::Whole(body) => Pin::new(body).poll_frame(context).map_err(|infallible| match infallible {}),
            Self::TooLarge(TooLarge { max, told }) => {
                told.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(HttpError::HttpRequestBodySize(Some(*max)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::TooLarge(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::TooLarge(_) => SizeHint::default(),
        }
    }
}

/// Makes `http-error-code` recognise the error of a body that is too large.
///
/// The library's own implementation expects a different type than the errors of a request body have, and so
/// recognises none of them.
///
/// # Errors
///
/// If the interface has not been linked yet.
pub fn add_error_code(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(TYPES)?.func_wrap("http-error-code", error_code)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn error_code(
    mut store: StoreContextMut<'_, InstanceState>,
    (error,): (Resource<wasmtime::Error>,),
) -> wasmtime::Result<(Option<ErrorCode>,)> {
    let error = store.data_mut().http().table.get(&error)?;
    let code = match error.downcast_ref() {
        Some(HttpError::HttpRequestBodySize(max)) => Some(ErrorCode::HttpRequestBodySize(*max)),
        _ => error.downcast_ref::<ErrorCode>().cloned(),
    };
    Ok((code,))
}
