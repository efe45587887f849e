//! Start, health, signals and drain.

pub mod shutdown;
pub mod start;
