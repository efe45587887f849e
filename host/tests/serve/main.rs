//! The host as its users see it: a process, its sockets, its signals, its log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends by panicking"
)]
#![allow(unreachable_pub, missing_docs, clippy::missing_errors_doc, reason = "a test has no users")]

mod admin;
mod admin_uploads;
mod ahead_of_time;
mod canary;
mod compile;
mod component;
mod durability;
mod explorer;
mod guest_failures;
mod harness;
mod http1;
mod http1_bodies;
mod languages;
mod lifecycle;
mod limits;
mod logs;
mod module_dir;
mod operator;
mod operator_trials;
mod orders;
mod outbound;
mod overload;
mod races;
mod raw;
mod reuse;
mod signing;
mod start;
mod swap;
mod swap_orders;
mod swap_refused;
mod transport_errors;
mod walkthrough;
