//! The store, as a trait that the service uses.
//!
//! | File | Contents |
//! |---|---|
//! | `interface` | `Store`: the three calls of `orders:state/store`, and their types |
//! | `memory` | a store in process memory, for native builds only |

mod interface;
#[cfg(not(target_arch = "wasm32"))]
pub mod memory;

pub use self::interface::{
    Check, Direction, Entry, KeyRange, Outcome, Revision, Store, StoreError, Stored, Write,
};
