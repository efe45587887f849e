//! What the developer's programs share: `xtask` itself, the benchmark (`bench/`), and the programs under `xtask/`.
//!
//! | file | what it does |
//! |---|---|
//! | `command` | runs other programs: said before, checked after |
//! | `process` | runs a program that may take so long, and no longer |
//! | `serving` | starts a program that serves, and waits until it does |
//! | `host` | how our host is started on a free port, and what its log says |
//! | `components` | builds components |
//! | `adapters` | which adapters of the store there are |
//! | `tools` | installs pinned Python and npm packages |

pub mod adapters;
pub mod command;
pub mod components;
pub mod host;
pub mod process;
pub mod serving;
pub mod tools;

use std::path::{Path, PathBuf};

/// The folder of this repository.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo builds to.
#[must_use]
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    }
}
