//! The contenders' programs, and the benchmark's files.

use std::path::PathBuf;

use xtask::target;

/// The folder in the target folder for SQLite databases.
pub(crate) const DATABASE: &str = "bench/database";

/// What was built for the contenders that take part; all other paths are empty.
pub(crate) struct Programs {
    /// Our host.
    pub(crate) host: PathBuf,
    /// The orders component.
    pub(crate) component: PathBuf,
    /// The orders component composed with a store in its instance's memory.
    pub(crate) portable: PathBuf,
}

/// The folder of the benchmark's files.
pub(crate) fn folder() -> PathBuf {
    target().join("bench")
}

/// The native contender.
pub(crate) fn native() -> PathBuf {
    target().join("release/orders-bench-native")
}

/// The contender in Go.
pub(crate) fn gin() -> PathBuf {
    folder().join("gin")
}

/// The component, compiled ahead of time.
pub(crate) fn compiled() -> PathBuf {
    folder().join("orders.cwasm")
}
