//! What a component writes as its response: a head, then chunks, checked against the length that the head announces.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header, response::Parts};
use http_body::Body;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{
    FieldMap, WasiHttpView,
    p2::{
        bindings::http::types::ErrorCode,
        body::{HostOutgoingBody, HyperOutgoingBody},
    },
};

use crate::sandbox::{failure::Failure, instance::InstanceState, request_body::TYPES};

/// The body of a response, as its component writes it.
pub struct Written {
    body: HyperOutgoingBody,
    /// The length that the head announces.
    announced: Option<u64>,
    /// What has been written so far, in bytes.
    length: u64,
    content: ResponseContent,
}

/// Whether a response has content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseContent {
    /// The client gets what the component writes.
    Sent,
    /// The response has none (RFC 9110, section 6.4.1), and what the component writes is discarded.
    None,
}

/// A part of a response body.
#[derive(Debug)]
pub enum Part {
    /// Some bytes; never empty.
    Chunk(Bytes),
    /// The end, and the trailer fields.
    End(HeaderMap),
    /// The instance has ended before the body. Its call tells why.
    Lost,
}

impl Written {
    /// Separates the head of a response from its body, and corrects what the head says about the length. `head_only` tells that the
    /// request's method is HEAD.
    ///
    /// # Errors
    ///
    /// [`Failure::InvalidResponse`] if the head must not be sent, because a client could mistake what follows it for a part of it.
    pub fn new(response: Response<HyperOutgoingBody>, head_only: bool) -> Result<(Parts, Self), Failure> {
        let (mut head, body) = response.into_parts();
        let status = head.status;
        if status.is_informational() {
            return Err(Failure::InvalidResponse("its status is not final"));
        }
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
            // RFC 9110, sections 8.6 and 15.3.6.
            head.headers.remove(header::CONTENT_LENGTH);
        }
        let without_content =
            [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        let content =
            if head_only || without_content { ResponseContent::None } else { ResponseContent::Sent };
        let announced = match (head.headers.get(header::CONTENT_LENGTH), content) {
            (Some(length), ResponseContent::Sent) => Some(
                length
                    .to_str()
                    .ok()
                    .and_then(|length| length.parse().ok())
                    .ok_or(Failure::InvalidResponse("its Content-Length is not a number"))?,
            ),
            _ => None,
        };
        Ok((head, Self { body, announced, length: 0, content }))
    }

    /// Whether the response has content.
    pub fn content(&self) -> ResponseContent {
        self.content
    }

    /// Whether the head need not wait: the component has written something, or the head announces no length.
    pub fn has_begun(&self) -> bool {
        self.length > 0 || !self.has_length()
    }

    /// Whether the head announces a length.
    pub fn has_length(&self) -> bool {
        self.announced.is_some()
    }

    /// Whether the component has written as much as was announced.
    pub fn is_complete(&self) -> bool {
        self.announced == Some(self.length)
    }

    /// The next part. What the component writes without need is left out.
    ///
    /// # Errors
    ///
    /// [`Failure::IncompleteResponse`] if the component dropped the body without finishing it, and [`Failure::InvalidResponse`]
    /// if the body has another length than was announced.
    pub fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Result<Part, Failure>> {
        loop {
            // The component never opened the body.
            if self.length == 0 && self.body.is_end_stream() {
                return Poll::Ready(self.end(HeaderMap::new()));
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(_)) | None if self.content == ResponseContent::None => {
                    return Poll::Ready(Ok(Part::End(HeaderMap::new())));
                }
                Some(Err(_)) => return Poll::Ready(Err(Failure::IncompleteResponse)),
                None => return Poll::Ready(Ok(Part::Lost)),
            };
            let bytes = match frame.into_data() {
                Ok(bytes) => bytes,
                Err(frame) => return Poll::Ready(self.end(frame.into_trailers().unwrap_or_default())),
            };
            self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            if self.announced.is_some_and(|announced| self.length > announced) {
                return Poll::Ready(Err(Failure::InvalidResponse("it is longer than its Content-Length")));
            }
            if self.content == ResponseContent::Sent && !bytes.is_empty() {
                return Poll::Ready(Ok(Part::Chunk(bytes)));
            }
        }
    }

    fn end(&self, trailers: HeaderMap) -> Result<Part, Failure> {
        match self.announced {
            Some(announced) if self.length < announced => {
                Err(Failure::InvalidResponse("it is shorter than its Content-Length"))
            }
            _ => Ok(Part::End(trailers)),
        }
    }
}

/// Makes the end of a body that the component has finished distinguishable from that of a body whose instance has ended.
///
/// The library ends the channel of the body in both cases in the same way, except with trailers. So every body is finished with
/// trailers, which may be empty. hyper sends no empty trailers, in responses or in outbound requests.
///
/// # Errors
///
/// If the interface has not been linked yet.
pub fn mark_finished(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(TYPES)?.func_wrap("[static]outgoing-body.finish", finish)?;
    linker.allow_shadowing(false);
    Ok(())
}

type Finish = (Resource<HostOutgoingBody>, Option<Resource<FieldMap>>);

fn finish(
    mut store: StoreContextMut<'_, InstanceState>,
    (body, trailers): Finish,
) -> wasmtime::Result<(Result<(), ErrorCode>,)> {
    let table = store.data_mut().http().table;
    let body = table.delete(body)?;
    let trailers = match trailers {
        Some(trailers) => table.delete(trailers)?,
        None => FieldMap::new_mutable(0),
    };
    Ok((body.finish(Some(trailers)),))
}
