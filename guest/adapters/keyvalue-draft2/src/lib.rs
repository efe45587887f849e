//! `orders:state/store` in the bucket "default", over `wasi:keyvalue@0.2.0-draft2`. For small stores on a consistent backend
//! only.
//!
//! Several instances can write at once, and a killed writer stops nobody: `claims.rs` of the core says how.
//!
//! The host must make each write visible to every later read, by any client, and a swap must replace a value only if it is still
//! the one that was read. The draft itself guarantees only that a client reads its own writes. On an eventually consistent
//! backend, orders would be lost.

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod bucket;

#[cfg(target_arch = "wasm32")]
use {
    bucket::DefaultBucket,
    orders_adapter::{bucket::Retrying, claims::Claims, log::Log},
};

#[cfg(target_arch = "wasm32")]
orders_adapter::adapter!(
    Log<Claims<Retrying<DefaultBucket>>>,
    Log::new(Claims::new(Retrying(DefaultBucket::new())))
);
