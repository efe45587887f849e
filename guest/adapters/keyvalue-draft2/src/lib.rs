//! `orders:state/store` in the bucket "default", over `wasi:keyvalue@0.2.0-draft2`. For small stores on a consistent backend
//! only: each new instance reads the whole state.
//!
//! A writer creates a blob by compare-and-swap. Several instances can write at once, and a killed writer leaves a
//! consistent state.
//!
//! The host must make each write visible to every later read, by any client, and a swap on an absent key must succeed only
//! if the key is still absent. The draft itself guarantees only that a client reads its own writes. On an eventually
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
