//! The parts that need WebAssembly: the exported handler, the imported store and the allocator. Native builds leave it out.
//!
//! | File | Contents |
//! |---|---|
//! | `allocator` | the memory allocator |
//! | `bindings` | generated from the world `orders:service/service` |
//! | `wit_store` | the imported store: the only file that uses `orders:state` |
//! | `component` | the HTTP handler: the only file that uses `wasi:http` |
//! | `export` | exports the handler |
//!
//! Only `allocator`, `bindings` and `export` contain unsafe code.

mod allocator;
mod bindings;
mod component;
mod export;
mod wit_store;
