//! The programs that take part, and where the benchmark keeps its files.

use std::{fs, path::PathBuf};

use xtask::{
    command::{Failed, failed},
    target,
};

/// What was built for the contenders that take part; the path of anything else is empty.
pub(crate) struct Programs {
    /// Our host.
    pub(crate) host: PathBuf,
    /// The orders component.
    pub(crate) component: PathBuf,
    /// The same composed with a store in its instance's memory.
    pub(crate) portable: PathBuf,
}

/// Where the benchmark keeps its files.
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

/// The place of an empty database, as the host's `--store` has it.
///
/// # Errors
///
/// [`Failed`] if the folder cannot be made.
pub(crate) fn fresh_database() -> Result<String, Failed> {
    let folder = folder().join("database");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    Ok(format!("sqlite:{}", folder.join("orders.db").display()))
}
