//! One request in one instance of a component, and everything that the instance can reach.
//!
//! | file | what it does |
//! |---|---|
//! | [`imports`] | the host side of `orders:state/store` |
//! | [`output`] | what a component prints becomes log lines |
//! | [`outbound`] | requests that a component sends to other servers |
//! | [`failure`] | how a call into a component can fail |
//! | [`tally`] | counts of requests, failures and times, by module |
//! | [`instance`] | the host state of one instance: what it may reach, and how much of it |
//! | [`request_body`] | the body of a request, as a component reads it |
//! | [`response_body`] | the body of a response, as a component writes it |
//! | [`guest`] | one call into one instance, and how it can end |
//! | [`engine`] | the wasmtime engine: compiler, instance pool, linker |

pub mod engine;
pub mod failure;
pub mod guest;
pub mod imports;
pub mod instance;
pub mod outbound;
pub mod output;
pub mod request_body;
pub mod response_body;
pub mod tally;
