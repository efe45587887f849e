//! Counts of a module's requests: how many were judged, how many of them failed and how, what they were answered with, their
//! latencies, and the requests under way. Rollouts compare two modules by these counts
//! ([`verdict`](crate::rollout::verdict)).
//!
//! A request counts once it is judged, with the head of its response or with its failure. It is no evidence for or against
//! its module, and is not counted at all, if the store was unavailable to it, or if it was withdrawn. If its client left before
//! the head, only the time until then is counted. Time spent waiting for the store is not the module's, and is not part of a
//! latency.
//!
//! | file | what it does |
//! |---|---|
//! | `counts` | the counts up to a point in time, or between two |
//! | `counters` | the counters of a module; each thread has its own, which are added up when they are read |
//! | `request` | one request, from its beginning until it is judged |
//! | `periods` | the counters of a module over its life, and those of the present period |

mod counters;
mod counts;
mod periods;
mod request;

pub use counters::Tally;
pub use counts::{Counts, Fault, StatusClass};
pub use periods::Tallies;
pub use request::CountedRequest;
