//! Tests specific to PostgreSQL: schema, TLS, secrets, every way in which a server or the network to it can fail, and
//! several copies of the service on one database. They start real servers and run the real program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, missing_docs, clippy::missing_errors_doc, reason = "tests have no public API")]
#![allow(dead_code, reason = "the harness is shared with the tests of the service")]

#[path = "../support/harness/mod.rs"]
mod harness;
#[path = "../support/postgres/mod.rs"]
mod postgres;

mod certificates;
mod commits;
mod copies;
mod faults;
mod followers;
mod histories;
mod lost_messages;
mod permanent;
mod proxy;
mod races;
mod readiness;
mod replication;
mod schema;
mod secrets;
mod service;
mod tls;
mod view;
mod waiting;
