//! The orders component: everything that this service knows about orders, and nothing about sockets, files, databases or
//! processes.
//!
//! A folder imports only folders above it in this table, and a file only files above it in the table of its folder.
//!
//! | Folder | Contents |
//! |---|---|
//! | `gzip` | compression of responses |
//! | [`values`] | small value types: ASCII text, UUIDs, digests |
//! | [`platform`] | the environment that the service needs: HTTP requests, a clock, randomness |
//! | [`store`] | the store as a trait |
//! | `json` | request bodies: parsing, decoding, errors with JSON Pointers; stored objects; pages: writing |
//! | [`order`] | orders: their types, their state machine, their changes |
//! | `repo` | what is stored under which key, and what is committed together |
//! | `problem` | every error, as `application/problem+json` |
//! | `headers` | the request headers that the handlers use |
//! | `query` | the query of a request for a list; cursors |
//! | `router` | the form of the table of routes, and the search in it |
//! | [`handlers`] | the table of routes, and one function for each operation |
//! | `wasm` | the component itself: the exported handler, the imported store, the allocator |
//!
//! A request takes this path:
//!
//! 1. `wasm` receives it from `wasi:http` and wraps it in the trait [`platform::Request`].
//! 2. [`handlers::handle`] finds its row in the table of routes with `router`, checks the request, and runs the operation.
//! 3. The operation reads the request with `headers`, `query` and `json`. The body becomes an [`order::NewOrder`], a
//!    [`order::Patch`] or a [`order::Transition`], or a list of errors.
//! 4. `repo` reads and commits records in a [`store::Store`].
//! 5. `problem` turns every error into a response.
//!
//! Only `wasm` needs WebAssembly. Everything else is built and tested natively.

mod gzip;
pub mod handlers;
mod headers;
mod json;
pub mod order;
pub mod platform;
mod problem;
mod query;
mod repo;
mod router;
pub mod store;
pub mod values;
#[cfg(target_arch = "wasm32")]
mod wasm;
