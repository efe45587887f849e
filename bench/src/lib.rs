//! The parts of the benchmark that `xtask/rollout` and `xtask/portability` use, too.
//!
//! | file | contents |
//! |---|---|
//! | `response` | parses the header of a response |
//! | `client` | a blocking HTTP client with one connection |
//! | `load` | a closed-loop load generator, and its latencies |
//! | `postgres` | a temporary PostgreSQL server |
//! | `wasmtime_cli` | installs `wasmtime serve` |

pub mod client;
pub mod load;
pub mod postgres;
pub mod response;
pub mod wasmtime_cli;
