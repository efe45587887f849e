//! The log of commits over a storage in memory: against a model, killed at every step, and with others in between.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

mod contract;
mod crash;
mod disk;
mod model;
mod others;
