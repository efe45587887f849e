//! `orders:state/store` in the bucket "default", over `wasi:keyvalue@0.2.0-draft`. For small stores on a consistent backend
//! only. A writer that is killed during a commit blocks all commits until an operator deletes three keys.
//!
//! This draft has no compare-and-swap. `tickets.rs` of the core says how a writer gets the name of a commit. A writer that is
//! killed in between leaves the name taken, so that all commits fail. Reads are not affected. The error names the commit N. Once its
//! writer is certainly gone, an operator deletes the keys `orders-state.won.rN`, `orders-state.owner.rN` and
//! `orders-state.taken.rN`, in this order and with N padded to twenty digits.
//!
//! The host must make each write visible to every later read, by any client. The draft itself guarantees only that a client reads its
//! own writes. On an eventually consistent backend, orders would be lost. Where counters are not exact, commits are refused instead.

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod bucket;

#[cfg(target_arch = "wasm32")]
use {
    bucket::DefaultBucket,
    orders_adapter::{bucket::Retrying, log::Log, tickets::Tickets},
};

#[cfg(target_arch = "wasm32")]
orders_adapter::adapter!(
    Log<Tickets<Retrying<DefaultBucket>>>,
    Log::new(Tickets::new(Retrying(DefaultBucket::new())))
);
