//! Tests specific to SQLite: which files it rejects, how it batches commits, and how it fails and recovers.
//!
//! Some tests need a separate process, with other privileges or one that is killed: they run this binary again with
//! one of the ignored tests in [`children`], and communicate over its standard input and output.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod backups;
mod children;
mod committing;
mod damage;
mod mounts;
mod opening;
mod recovery;
mod replaced;
mod support;
