//! `orders:state/store` as an ordered map in the memory of the instance. For hosts that keep one instance alive: the state
//! is lost with the instance.
//!
//! The adapter imports nothing. On a host that creates an instance per request, each request starts with an empty store. An
//! instance handles one call at a time, so there are no concurrent writers.

#[cfg(target_arch = "wasm32")]
orders_adapter::adapter!(orders_adapter::state::State, orders_adapter::state::State::new());
