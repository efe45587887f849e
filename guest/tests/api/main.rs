//! The rules of the HTTP contract, each held by a test that names it, over an in-memory store. No WebAssembly
//! is needed.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod create;
#[cfg(test)]
mod every_response;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod fields;
#[cfg(test)]
mod get;
#[cfg(test)]
mod list;
#[cfg(test)]
mod support;
