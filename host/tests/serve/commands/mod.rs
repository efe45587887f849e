//! The other commands of the program, as a person runs them.

pub mod compile;
pub mod module;
pub mod module_trials;
