//! The life of the process: its phases, the signals that end or reload it, the memory that it may use, and the points at which
//! tests kill it.
//!
//! | file | what it does |
//! |---|---|
//! | [`blocking`] | runtimes that keep a thread for what blocks |
//! | [`essential`] | parts without which the process ends |
//! | [`fault`] | named points at which a test kills this process, and a clock that is wrong |
//! | [`memory`] | how much memory this process may use |
//! | [`shutdown`] | the phases of the service, and the signals |

pub mod blocking;
pub mod essential;
pub mod fault;
pub mod memory;
pub mod shutdown;
