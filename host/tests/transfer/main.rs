//! `orders-host state export` and `import`, with the real program and real PostgreSQL servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, missing_docs, clippy::missing_errors_doc, reason = "tests have no public API")]
#![allow(dead_code, reason = "the harness is shared with the tests of the service")]

#[path = "../support/harness/mod.rs"]
mod harness;
#[path = "../support/postgres/mod.rs"]
mod postgres;

mod interrupted;
mod large;
mod rejected;
mod round_trips;
mod service;
mod support;
