//! The orders component: everything this service knows about orders, and nothing about sockets, files,
//! databases or processes.
//!
//! The path of a request, and with it the map of the crate:
//!
//! 1. `component` takes it from `wasi:http`, behind the trait in [`request`];
//! 2. [`handlers::handle`] asks `router` which operation it is, and runs it;
//! 3. a list's parameters are read by `query` and `cursor`; a body's type is checked by `content`, its
//!    text read by `json`, and what it says becomes a [`order::NewOrder`] or the list of its faults;
//! 4. the order goes to or comes from a [`repo::OrderRepo`]: `wit_repo` over the imported store;
//! 5. whatever went wrong is worded by `problem`, and only there.
//!
//! Time and randomness come in through [`platform`]. Only `component` and `wit_repo` need WebAssembly: all
//! the rest builds and is tested natively.

mod content;
mod cursor;
pub mod handlers;
mod json;
pub mod order;
pub mod platform;
mod problem;
mod query;
pub mod repo;
pub mod request;
mod router;
pub mod uuid;

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(target_arch = "wasm32")]
mod wit_repo;
