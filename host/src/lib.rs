//! Serves a `wasi:http` component and owns everything that must survive a faulty or outdated one: the socket, the health
//! endpoints, the state, the shutdown.
//!
//! A room (folder) imports only rooms above it in this table, and a file only files above it in the table of its room;
//! `tests/repository/imports.rs` enforces both. A request passes them from `http` down to `sandbox`, and its state from there to
//! `store`.
//!
//! | room | what it contains |
//! |---|---|
//! | [`config`] | every option: meaning, unit, default, environment variable |
//! | [`lifecycle`] | the phases of the process, signals, drain |
//! | [`store`] | the state: ordered keys, atomic conditional commits; in memory, in SQLite, in PostgreSQL |
//! | [`sandbox`] | one request in one instance of a component |
//! | [`module`] | what a module is: source, signature, compiled code, the module folder |
//! | [`rollout`] | which module serves: candidate, trial, verdict, swap |
//! | [`http`] | the public side: connections, limits, the steps of a request |
//! | [`admin`] | the operators' API, on a listener of its own |
//! | [`commands`] | the other commands of the program |
//! | [`app`] | the only place that wires everything together |

pub mod admin;
pub mod app;
pub mod commands;
pub mod config;
pub mod http;
pub mod lifecycle;
pub mod module;
pub mod rollout;
pub mod sandbox;
pub mod store;
