//! What is SQLite's alone: what it refuses to open, how it folds commits, and how it fails and recovers.
//!
//! Some tests need a process of their own, one with other rights or one that dies: they run this binary again,
//! with one of the ignored tests in [`children`], and talk to it over its standard input and output.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

mod children;
mod committing;
mod opening;
mod support;
