//! What is PostgreSQL's alone: schema, TLS, secrets, every way in which a server or the network to it can fail, and several
//! copies of the service on one database. With real servers, which these tests start, and the real program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]
#![allow(unreachable_pub, missing_docs, clippy::missing_errors_doc, reason = "a test has no users")]
#![allow(dead_code, reason = "the harness is shared with the tests of the service")]

#[path = "../support/harness/mod.rs"]
mod harness;
#[path = "../support/postgres.rs"]
mod postgres;

mod committing;
mod copies;
mod faults;
mod histories;
mod lost;
mod proxy;
mod schema;
mod secrets;
mod service;
mod tls;
mod view;
