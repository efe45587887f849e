//! `orders:state/store` in the bucket "default", over `wasi:keyvalue@0.2.0-draft`. For small stores on a consistent backend
//! only. A writer that is killed during a commit blocks all commits until an operator deletes one key.
//!
//! This draft has no compare-and-swap. A writer claims a name by incrementing a counter; the writer that gets 1 owns the
//! name and then stores the blob. Between the two steps no other writer can tell whether the blob will still appear, so
//! until it does, all commits fail. Reads are not affected. The error names the commit N. Once its writer is certainly gone,
//! an operator can delete the key `orders-state.taken.rN`, with N padded to twenty digits.
//!
//! The host must make each write visible to every later read, by any client, and must count increments exactly, including
//! the first increment of a key. The draft itself guarantees only that a client reads its own writes. On an eventually
//! consistent backend, orders would be lost.

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod bucket;

#[cfg(target_arch = "wasm32")]
orders_adapter::adapter!(
    orders_adapter::log::Log<bucket::DefaultBucket>,
    orders_adapter::log::Log::new(bucket::DefaultBucket::new())
);
