//! What the program of the benchmark has in common with those that run the component elsewhere (`xtask/rollout`,
//! `xtask/portability`).
//!
//! | file | what it does |
//! |---|---|
//! | `client` | a client of the service |
//! | `load` | clients that create and read orders all at once |
//! | `postgres` | a PostgreSQL server of our own |
//! | `wasmtime_cli` | the stock host |

pub mod client;
pub mod load;
pub mod postgres;
pub mod wasmtime_cli;
