//! `orders:state/store` over the storage of other hosts: the shared core of the adapters in `guest/adapters/`.
//!
//! | file | contents |
//! |---|---|
//! | [`contract`] | the types and limits of the interface |
//! | `results` | what calls return, within the limits |
//! | [`state`] | a store in memory: an ordered map with revisions |
//! | [`storage`] | the trait that an adapter implements: named blobs that are created at most once |
//! | [`bucket`] | what a storage in a bucket of keys needs of the bucket |
//! | [`claims`] | such a storage, with a compare-and-swap |
//! | [`tickets`] | such a storage, with counters alone |
//! | `names` | the names of the blobs |
//! | `format` | the binary format of the blobs; truncated or altered blobs are detected |
//! | `view` | the stored state, as far as it has been read |
//! | [`log`] | a store over such a storage: a log of commits with checkpoints |
//! | `bindings` | the generated bindings of the exported interface |
//! | `component` | the exported interface, and the macro that turns a store into a component |
//!
//! Everything but the last two is built and tested natively.

pub mod bucket;
pub mod claims;
pub mod contract;
mod format;
pub mod log;
mod names;
mod results;
pub mod state;
pub mod storage;
pub mod tickets;
mod view;

#[cfg(target_arch = "wasm32")]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
pub mod component;
