//! How a call into a component can fail.

use std::{error::Error, fmt};

use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

/// Most bytes of a component's own words that are repeated in the log.
const MAX_WORDS: usize = 256;

/// How a call can fail. Each has its own response in `http::rejection`.
#[derive(Debug)]
pub enum Failure {
    /// The guest trapped, or broke the rules of the component model. Says how.
    Trapped(String),
    /// The guest asked for more memory than it may have, and trapped for want of it.
    OutOfMemory,
    /// The deadline passed.
    OutOfTime,
    /// The guest returned without having answered.
    NoAnswer,
    /// The guest returned before its answer was finished.
    Unfinished,
    /// The guest answered with something that cannot be sent. Says what.
    BadAnswer(&'static str),
    /// The guest answered with an error code instead of a response.
    GaveUp(ErrorCode),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trapped(how) => write!(f, "the component trapped: {how}"),
            Self::OutOfMemory => f.write_str("the component needed more memory than it may have"),
            Self::OutOfTime => f.write_str("the component did not finish before the deadline"),
            Self::NoAnswer => f.write_str("the component returned without an answer"),
            Self::Unfinished => f.write_str("the component returned before its answer was finished"),
            Self::BadAnswer(what) => write!(f, "the component's answer cannot be sent: {what}"),
            Self::GaveUp(code) => {
                let words: String = format!("{code:?}").chars().take(MAX_WORDS).collect();
                write!(f, "the component answered with an error: {words}")
            }
        }
    }
}

impl Error for Failure {}

impl Failure {
    /// What `error` says of how the component broke off.
    pub fn trapped(error: &wasmtime::Error) -> Self {
        Self::Trapped(error.root_cause().to_string())
    }
}
