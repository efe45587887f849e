//! Small stores only: each new instance reads all of it; and the store behind the bucket must be consistent.
//!
//! `orders:state/store` in the bucket "default", over `wasi:keyvalue@0.2.0-draft2`. A name is taken by compare-and-swap:
//! several instances may write at once, and whoever is killed leaves a whole state.
//!
//! The host must show each write to every later read, whoever asks, and swap a key that was not there only if it still is
//! not. The draft itself promises only that a client reads its own writes: with a store that is only eventually
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
