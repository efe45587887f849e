//! How a call into a component can fail.

use std::{error::Error, fmt};

use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

/// Maximum number of characters of a component's error that are logged.
const MAX_ERROR_CHARS: usize = 256;

/// How a call can fail. `http::rejection` maps each to a response.
#[derive(Debug)]
pub enum Failure {
    /// The guest trapped or violated the rules of the component model. Contains the reason.
    Trapped(String),
    /// The guest exceeded its memory limit, and trapped as a consequence.
    OutOfMemory,
    /// The call did not end before its deadline.
    TimedOut,
    /// The call did not end before its deadline, and had less time than a request may take, because the body arrived late.
    LateRequest,
    /// The call exceeded its limit of processor time.
    OutOfCpu,
    /// The component was told that the request body exceeds this many bytes, and did not respond with 413.
    BodyTooLarge(u64),
    /// The client did not read the response fast enough.
    NotRead,
    /// The limit of streams was reached.
    TooManyStreams,
    /// The service stops or its module was replaced, which ends streams.
    StreamEnded,
    /// The module was withdrawn while it handled the request.
    Withdrawn,
    /// The store failed in a way that does not pass by itself, so the component was not asked to respond.
    StoreFailed,
    /// There was no room for an instance.
    NoInstance,
    /// The guest returned without a response.
    NoResponse,
    /// The guest returned before its response body was complete.
    IncompleteResponse,
    /// The guest's response cannot be sent. Contains the reason.
    InvalidResponse(&'static str),
    /// The guest returned an error code instead of a response.
    ReturnedError(ErrorCode),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trapped(why) => write!(f, "the component trapped: {why}"),
            Self::OutOfMemory => f.write_str("the component exceeded its memory limit"),
            Self::TimedOut => f.write_str("the component did not finish before the deadline"),
            Self::LateRequest => {
                f.write_str("the request arrived too late for the component to finish before the deadline")
            }
            Self::OutOfCpu => f.write_str("the component exceeded its limit of processor time"),
            Self::BodyTooLarge(max) => write!(f, "the request body has more than {max} bytes"),
            Self::NotRead => f.write_str("the client did not read the response fast enough"),
            Self::TooManyStreams => f.write_str("the limit of streams was reached"),
            Self::StreamEnded => {
                f.write_str("the stream was ended, because the service stops or its module was replaced")
            }
            Self::Withdrawn => f.write_str("the module was withdrawn"),
            Self::StoreFailed => f.write_str("the store has failed, and an operator has to act"),
            Self::NoInstance => f.write_str("there was no room for another instance"),
            Self::NoResponse => f.write_str("the component returned without a response"),
            Self::IncompleteResponse => {
                f.write_str("the component returned before its response was complete")
            }
            Self::InvalidResponse(why) => write!(f, "the component's response cannot be sent: {why}"),
            Self::ReturnedError(code) => {
                let code: String = format!("{code:?}").chars().take(MAX_ERROR_CHARS).collect();
                write!(f, "the component returned an error: {code}")
            }
        }
    }
}

impl Error for Failure {}

impl Failure {
    /// A trap with the root cause of `error`.
    pub fn trapped(error: &wasmtime::Error) -> Self {
        Self::Trapped(error.root_cause().to_string())
    }
}
