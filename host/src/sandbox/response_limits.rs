//! The limits of all responses together.

use std::sync::Arc;

use crate::{
    config::LimitsConfig,
    sandbox::{room::UnreadLimit, stream::StreamLimits, waiting::Waiting},
};

/// The limits of all responses together.
#[derive(Debug)]
pub struct ResponseLimits {
    /// The memory for what clients have not read yet.
    pub unread: Arc<UnreadLimit>,
    /// The calls that wait for room in it, and those whose responses nobody wants.
    pub waiting: Arc<Waiting>,
    /// The limits of streams; `None` if the deadline of a request applies to streams, too.
    pub streams: Option<StreamLimits>,
}

impl ResponseLimits {
    /// The limits that `config` sets.
    pub fn new(config: &LimitsConfig) -> Self {
        let max_calls = config.max_concurrent.into();
        let waiting = Arc::new(Waiting::new(max_calls));
        Self {
            unread: Arc::new(UnreadLimit::new(config.max_answers.bytes(), Arc::clone(&waiting))),
            waiting,
            streams: config.stream_timeout.map(|timeout| StreamLimits::new(timeout.0, max_calls)),
        }
    }
}

impl Default for ResponseLimits {
    /// For a call at a time, whose response is read.
    fn default() -> Self {
        let waiting = Arc::new(Waiting::new(1));
        let unread = Arc::new(UnreadLimit::new(usize::MAX, Arc::clone(&waiting)));
        Self { unread, waiting, streams: None }
    }
}
