//! The module folder: what it keeps, what it refuses to open or to load, and what is left when the process is killed.
//!
//! Some tests need a process of their own, one with other bounds or one that dies: they run this binary again, with one
//! of the ignored tests in [`children`].
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

mod children;
mod keeping;
mod killed;
mod opening;
mod support;
mod unsound;
