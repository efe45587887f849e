//! The module folder: what it stores, what it rejects, and what is left when the process is killed.
//!
//! Some tests need a child process, with other limits or to be killed: they run this binary again with one of the ignored
//! tests in [`children`].
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod children;
mod history;
mod killed;
mod modules;
mod opening;
mod support;
mod unsound;
