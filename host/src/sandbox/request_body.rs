//! The body of a request, as the component is given it: whole, or as the news that it is too large.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{Error as HttpError, WasiHttpView, p2::bindings::http::types::ErrorCode};

use crate::sandbox::instance::InstanceState;

/// The interface of [`add_error_code`], as the library's linker knows it.
const TYPES: &str = "wasi:http/types@0.2.12";

/// The body of a request.
///
/// Whether a body that is too large is 404, 405 or 413 depends on what was asked for, which only the component
/// knows. So it is asked with a body that fails when it is read.
#[derive(Debug)]
pub enum RequestBody {
    /// All of it.
    Whole(Full<Bytes>),
    /// It is larger than this many bytes. Reading it fails with the code `HTTP-request-body-size`.
    TooLarge(u64),
}

impl RequestBody {
    /// Tells the length of a body that came in chunks, as RFC 9112, section 7.1.3, has it: the component is not shown the
    /// chunks, and could not tell that there is a body without reading it. Of one that is too large it tells the
    /// least that it can be.
    pub fn announce(&self, headers: &mut HeaderMap) {
        let length = match self {
            Self::Whole(body) => body.size_hint().lower(),
            Self::TooLarge(max) => max.saturating_add(1),
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
            Self::TooLarge(max) => Poll::Ready(Some(Err(HttpError::HttpRequestBodySize(Some(*max))))),
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

/// Has `http-error-code` know the error of a body that is too large.
///
/// The library's own looks for another type than the errors of a request's body have there, and so knows none
/// of them.
///
/// # Errors
///
/// If the interface has not been linked before.
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
