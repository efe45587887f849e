//! `orders:state/store` over the storage of other hosts: what the adapters under `guest/adapters/` have in common.
//!
//! | file | what it does |
//! |---|---|
//! | [`contract`] | the types and the bounds of the interface |
//! | [`state`] | an ordered map with revisions: what is stored, in memory |
//! | [`storage`] | what an adapter has to provide: named blobs, of which a name is taken once |
//! | `names` | the names that are used there |
//! | `format` | what the blobs hold; a cut or changed one is noticed |
//! | [`log`] | a store over such a storage: a log of commits, and checkpoints of it |
//! | `component` | the exported interface, and the macro that makes a component of a store |
//!
//! All but the last builds and is tested natively.

pub mod contract;
mod format;
pub mod log;
mod names;
pub mod state;
pub mod storage;

#[cfg(target_arch = "wasm32")]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
pub mod component;
