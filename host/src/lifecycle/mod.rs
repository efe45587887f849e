//! The life of the process: its phases, the signals that end or reload it, and the points at which tests kill it.
//!
//! | file | what it does |
//! |---|---|
//! | [`fault`] | named points at which a test kills this process |
//! | [`shutdown`] | the phases of the service, and the signals |

pub mod fault;
pub mod memory;
pub mod shutdown;
