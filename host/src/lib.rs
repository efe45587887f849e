//! Serves a `wasi:http` component and owns everything that must survive a bad or outdated one: the socket,
//! the health answers, the state, the shutdown.
//!
//! The path of a request, file by file; a file imports only what stands before it in this list
//! (`tests/repository.rs` sees to that):
//!
//! | file | what it does |
//! |---|---|
//! | [`config`] | every option: what it means, its unit, default and variable |
//! | [`fault`] | points at which a test has this process killed |
//! | [`shutdown`] | the phases of the service's life, and the signals that move it on |
//! | [`store`] | the state: ordered keys, atomic conditional commits; in memory, SQLite or PostgreSQL |
//! | [`imports`] | the host side of `orders:state/store` |
//! | [`output`] | what a component prints becomes log lines |
//! | [`outbound`] | requests that a component sends to other servers |
//! | [`failure`] | how a call into a component can fail |
//! | [`tally`] | what a module has done: requests, failures, times |
//! | [`instance`] | what the host keeps for one instance: what it may reach, and how much of it |
//! | [`body`] | the body of a request, as a component is given it |
//! | [`guest_body`] | the body of a component's answer |
//! | [`guest`] | one call into one instance, and how it can end |
//! | [`engine`] | the wasmtime engine: compiler, pool, linker |
//! | [`module`] | a component: checked, compiled, ready to link |
//! | [`file`](mod@file) | files that are written whole or not at all |
//! | [`compiled`] | a component that was compiled ahead of time, as a file |
//! | [`keys`] | keys that components are signed with, as files |
//! | [`signature`] | the signature of a component: made and checked |
//! | [`source`] | what a file that may be served holds |
//! | [`shelf`] | modules that outlive the process, and which of them serves |
//! | [`events`] | what happens to modules, as operators are told |
//! | [`kept`] | what is kept of modules beyond the end of the process |
//! | [`compiling`] | a component compiled in a process of its own |
//! | [`roster`] | what is known of modules, and what happened to them |
//! | [`candidate`] | a component made ready: compiled, loaded, linked, tried |
//! | [`smoke`] | requests that a candidate has to answer, over a store that refuses writes |
//! | [`slot`] | which module serves, and which is on trial |
//! | [`verdict`] | whether a module is worse than another one |
//! | [`trial`] | a candidate on trial, and a module that is watched |
//! | [`swap`] | another module takes the place of the one that serves |
//! | [`signing`] | the commands that make keys and signatures |
//! | [`limits`] | admission, the body's cap, the deadline |
//! | [`reject`] | the only place where an error becomes a status |
//! | [`head`] | what the head of a request must be |
//! | [`health`] | `/health` and `/ready` |
//! | [`explorer`] | `/docs`: an API explorer over `/openapi.json` |
//! | [`answer`] | an answer on its way, and its line in the access log |
//! | [`service`] | the steps of a request, in their order |
//! | [`clock`] | what a connection is doing, and how long it may |
//! | [`socket`] | the socket of a connection, watched by its clock |
//! | [`refusal`] | what is said where no request could be read |
//! | [`connection`] | one connection, from its first byte to its close |
//! | [`workers`] | the threads that serve connections |
//! | [`listener`] | accepts connections, and closes without losing one |
//! | [`admin`] | the operators' API, on a port of its own |
//! | [`operator`] | the client side of it: the commands that push modules, show them and take them back |
//! | [`transfer`] | the commands that write a store's state to a file, and read it back |
//! | [`healthcheck`] | the client side of `/health` |
//! | [`app`] | the only wiring: what is built, what runs, how it ends |

pub mod admin;
pub mod answer;
pub mod app;
pub mod body;
pub mod candidate;
pub mod clock;
pub mod compiled;
pub mod compiling;
pub mod config;
pub mod connection;
pub mod engine;
pub mod events;
pub mod explorer;
pub mod failure;
pub mod fault;
pub mod file;
pub mod guest;
pub mod guest_body;
pub mod head;
pub mod health;
pub mod healthcheck;
pub mod imports;
pub mod instance;
pub mod kept;
pub mod keys;
pub mod limits;
pub mod listener;
pub mod module;
pub mod operator;
pub mod outbound;
pub mod output;
pub mod refusal;
pub mod reject;
pub mod roster;
pub mod service;
pub mod shelf;
pub mod shutdown;
pub mod signature;
pub mod signing;
pub mod slot;
pub mod smoke;
pub mod socket;
pub mod source;
pub mod store;
pub mod swap;
pub mod tally;
pub mod transfer;
pub mod trial;
pub mod verdict;
pub mod workers;
