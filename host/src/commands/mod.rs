//! The commands of the program other than `serve`, each in a file or folder of its own.
//!
//! | file | what it does |
//! |---|---|
//! | [`error`] | why a command fails, and its exit code |
//! | [`output`] | what a command prints |
//! | [`healthcheck`] | `healthcheck`: the health probe of the container |
//! | [`inspect`] | `inspect`: what a component imports and exports, and whether this host can run it |
//! | [`compile`] | `compile`: ahead-of-time compilation |
//! | [`sign`] | `module keygen`, `sign` and `verify`: key files and signed components |
//! | [`module`] | `module push`, `list`, `status` and `rollback`: the client of the admin API |
//! | [`state`] | `state export`, `import` and `check`: the state of a store as a file |

pub mod compile;
pub mod error;
pub mod healthcheck;
pub mod inspect;
pub mod module;
pub mod output;
pub mod sign;
pub mod state;
