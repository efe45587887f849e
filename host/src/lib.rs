//! Serves a `wasi:http` component, and owns everything that must survive a faulty or outdated one: the socket, the health
//! endpoints, the state and the shutdown.
//!
//! A layer (folder) imports only layers above it in this table, and a file imports only files above it in the table of its
//! layer; `tests/repository/imports.rs` enforces both. A request enters in `http` and reaches its component in `sandbox`,
//! which reads and writes the state through `store`.
//!
//! | layer | what it contains |
//! |---|---|
//! | [`config`] | every option: meaning, unit, default, environment variable |
//! | [`lifecycle`] | the phases of the service, its signals, and the parts without which it ends |
//! | [`log`] | the log of the service: a bounded queue, and the thread that writes it |
//! | [`store`] | the state: ordered keys and atomic conditional commits, in memory, SQLite or PostgreSQL |
//! | [`sandbox`] | one request in one instance of a component |
//! | [`module`] | modules: source, signature, compiled code, the module folder |
//! | [`rollout`] | which module serves: candidate, trial, verdict, swap |
//! | [`http`] | the public side: connections, limits, the steps of a request |
//! | [`admin`] | the admin API, on its own socket or port |
//! | [`commands`] | the other commands of the program |
//! | [`app`] | `serve`: the only place that wires the layers together |

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic if nothing can be written: use `commands::output`"
)]

pub mod admin;
pub mod app;
pub mod commands;
pub mod config;
pub mod http;
pub mod lifecycle;
pub mod log;
pub mod module;
pub mod rollout;
pub mod sandbox;
pub mod store;
