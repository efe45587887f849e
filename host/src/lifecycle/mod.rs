//! The life of the process: its phases, the signals that move it on, and the points at which tests kill it.
//!
//! | file | what it does |
//! |---|---|
//! | [`fault`] | points at which a test kills this process |
//! | [`shutdown`] | the phases of the service, the signals, the drain |

pub mod fault;
pub mod shutdown;
