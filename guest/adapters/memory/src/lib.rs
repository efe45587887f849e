//! Keeps nothing beyond its instance: for hosts that keep one instance alive, and only as long as that lives.
//!
//! `orders:state/store` as an ordered map in the instance's memory. It imports nothing. A host that makes an instance for
//! each request gives each an empty store. An instance serves one call at a time, so that there are no other writers.

#[cfg(target_arch = "wasm32")]
orders_adapter::adapter!(orders_adapter::state::State, orders_adapter::state::State::new());
