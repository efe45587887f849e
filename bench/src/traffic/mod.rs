//! An open-loop load generator: requests are sent when they are due, however slow the responses are.
//!
//! | file | contents |
//! |---|---|
//! | `random` | pseudo-random numbers |
//! | `schedule` | when requests are due |
//! | `generator` | sends the requests, and records each outcome |

mod generator;
mod random;
mod schedule;

pub(crate) use self::{
    generator::{Sample, Traffic},
    random::Random,
    schedule::Schedule,
};
