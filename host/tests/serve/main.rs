//! Tests the host from outside: a process, its sockets, its signals, its log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, missing_docs, clippy::missing_errors_doc, reason = "tests have no public API")]

mod admin;
mod commands;
#[path = "../support/harness/mod.rs"]
mod harness;
mod http;
mod lifecycle;
mod module;
mod raw;
mod rollout;
mod sandbox;
mod store;
mod versions;
mod wire;
