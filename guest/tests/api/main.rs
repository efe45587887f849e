//! Tests of the HTTP contract over an in-memory store. They run natively, without WebAssembly. Text in quotes in the comments
//! is quoted from the contract.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod conditional;
#[cfg(test)]
mod create;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod every_response;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod fields;
#[cfg(test)]
mod filters;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod get;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod indexes;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod list;
#[cfg(test)]
mod patch;
#[cfg(test)]
mod stored;
#[cfg(test)]
mod support;
