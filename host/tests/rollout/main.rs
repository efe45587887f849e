//! The owner of the rollout, in every order of commands, events, failures and slow disks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod environment;
mod model;
mod transitions;
mod verdicts;
