//! A writer that is killed in a commit stops all others until an operator deletes one key; small, consistent stores only.
//!
//! `orders:state/store` in the bucket "default", over `wasi:keyvalue@0.2.0-draft`. That draft has no compare-and-swap: a
//! name is taken by whoever is told 1 when it increments a counter of that name, and what belongs there is stored only
//! then. Between the two nobody else can know whether it will come, so that all commits are refused meanwhile; reads
//! go on. The error names the commit N: the key to delete is `orders-state.taken.rN`, with N in twenty digits, once its
//! writer is surely gone.
//!
//! The host must show each write to every later read, whoever asks, and count increments exactly, the first of a key
//! included. The draft itself promises only that a client reads its own writes: with a store that is only eventually
//! consistent, orders would be lost.

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod bucket;

#[cfg(target_arch = "wasm32")]
orders_adapter::adapter!(
    orders_adapter::log::Log<bucket::Default>,
    orders_adapter::log::Log::new(bucket::Default::new())
);
