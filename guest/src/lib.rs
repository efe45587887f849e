//! The orders component: everything this service knows about orders, and nothing about sockets, files,
//! databases or processes.
//!
//! The path of a request, and with it the map of the crate:
//!
//! 1. `component` takes it from `wasi:http`, behind the trait in [`request`];
//! 2. [`handlers::handle`] asks `router` which operation it is, and runs it;
//! 3. the fields of the request are read by `accept`, `content`, `conditional` and `idempotency` (their common
//!    grammar is in `field`), a list's parameters by `query` and `cursor`, a body by `json`; what the body says becomes
//!    an [`order::NewOrder`], a [`order::Patch`] or a [`order::Transition`], or the list of its faults;
//! 4. `repo` knows what is stored under which key and written together, in a [`store::Store`]: `wit_store` is
//!    the imported one;
//! 5. whatever went wrong is worded by `problem`, and only there.
//!
//! Time and randomness come in through [`platform`]. Only `component`, `wit_store` and the
//! `allocator` need WebAssembly: all the rest builds and is tested natively.

mod accept;
mod conditional;
mod content;
mod cursor;
mod digest;
mod field;
pub mod handlers;
mod idempotency;
mod json;
pub mod order;
pub mod platform;
mod problem;
mod query;
mod repo;
pub mod request;
mod router;
pub mod store;
mod text;
pub mod uuid;

#[cfg(target_arch = "wasm32")]
mod allocator;
#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(target_arch = "wasm32")]
mod wit_store;
