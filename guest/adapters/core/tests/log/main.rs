//! Tests of the commit log over an in-memory storage: against a model, with a writer killed at every write, and with
//! concurrent writers.
//!
//! | file | contents |
//! |---|---|
//! | `shared_disk` | the storage: several writers share it, and a test can kill or interrupt one |
//! | `contract` | the limits and single calls of the interface |
//! | `model` | random programs, compared with an in-memory map |
//! | `crash` | killed writers and damaged blobs |
//! | `interleaving` | other writers between any two steps of one |
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot continue must fail"
)]

mod contract;
mod crash;
mod interleaving;
mod model;
mod shared_disk;
