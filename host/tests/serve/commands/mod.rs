//! The commands other than `serve`, as a user runs them.

pub mod compile;
pub mod module;
pub mod module_https;
pub mod module_trials;
pub mod module_watches;
pub mod output;
