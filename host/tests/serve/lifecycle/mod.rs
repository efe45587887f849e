//! Start, health endpoints, signals and drain.

pub mod shutdown;
pub mod start;
