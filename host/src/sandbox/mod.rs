//! One request in one instance of a component, and everything that the instance can access.
//!
//! | file | what it does |
//! |---|---|
//! | [`workers`] | threads that each have a runtime: for connections, and for long computations |
//! | [`cpu`] | the processor time of a call |
//! | [`output`] | turns what a component prints into log lines |
//! | [`outbound`] | requests from a component to other servers |
//! | [`failure`] | how a call into a component can fail |
//! | [`tally`] | counts of a module's requests, as evidence for or against it |
//! | [`record`] | what the parts of a call share |
//! | [`imports`] | the host side of `orders:state/store` |
//! | `shifted_clock` | a wall clock that is wrong, for tests |
//! | [`instance`] | the host state of one instance: what it may access, and its limits |
//! | [`request_body`] | the body of a request, as a component reads it |
//! | [`call`] | a call in flight, and what ends it early |
//! | [`waiting`] | calls that only wait, of which there may be only some |
//! | [`room`] | the memory for what clients have not read yet |
//! | [`stream`] | responses that may last for long |
//! | [`response_limits`] | the limits of all responses together |
//! | [`written`] | the head and the body of a response, as a component writes them |
//! | [`response_body`] | the body of a response, as a client reads it |
//! | [`transfer`] | moves what a component writes to where its client reads it |
//! | [`delivery`] | drives a call, and takes what it writes |
//! | `idle` | instances that wait for their next request |
//! | [`guest`] | one call into one instance, and its outcome |
//! | [`memory_error`] | names the setting that prevents memory from being executable or reserved |
//! | [`engine`] | the wasmtime engine: compiler, instance pool, linker |

pub mod call;
pub mod cpu;
pub mod delivery;
pub mod engine;
pub mod failure;
pub mod guest;
mod idle;
pub mod imports;
pub mod instance;
pub mod memory_error;
pub mod outbound;
pub mod output;
pub mod record;
pub mod request_body;
pub mod response_body;
pub mod response_limits;
pub mod room;
#[cfg(feature = "fault-injection")]
mod shifted_clock;
pub mod stream;
pub mod tally;
pub mod transfer;
pub mod waiting;
pub mod workers;
pub mod written;
