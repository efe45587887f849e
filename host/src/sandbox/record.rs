//! What the parts of a call share: the instance, its future, and the body of its response.

use std::sync::Arc;

use crate::sandbox::{cpu::CpuMeter, tally::CountedRequest};

/// The record of a call. The call may continue on another thread than its response.
#[derive(Debug)]
pub struct CallRecord {
    /// Identifies the request in log lines.
    pub request_id: Arc<str>,
    /// Judges the request.
    pub counted: CountedRequest,
    /// Measures and limits its processor time.
    pub cpu: CpuMeter,
}
