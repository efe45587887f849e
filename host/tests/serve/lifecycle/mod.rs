//! Start, health, signals, shutdown, and the log of the process.

pub mod cut;
pub mod log;
pub mod shutdown;
pub mod signals;
pub mod start;
