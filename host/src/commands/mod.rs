//! The commands of the program but for `serve`: one file or folder a command.
//!
//! | file | what it does |
//! |---|---|
//! | [`error`] | why a command fails, and with which exit code |
//! | [`healthcheck`] | `healthcheck`: the container's own probe |
//! | [`inspect`] | `inspect`: what a component imports and exports, and whether this host would run it |
//! | [`compile`] | `compile`: ahead-of-time compilation |
//! | [`sign`] | `module keygen`, `sign` and `verify`: keys and signatures as files |
//! | [`module`] | `module push`, `list`, `status` and `rollback`: a client of the operators' API |
//! | [`state`] | `state export` and `import`: a store's state as a file |

pub mod compile;
pub mod error;
pub mod healthcheck;
pub mod inspect;
pub mod module;
pub mod sign;
pub mod state;
