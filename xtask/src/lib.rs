//! What the developer's programs share: `xtask` itself, the benchmark (`bench/`), and the programs under `xtask/`.
//!
//! | file | contents |
//! |---|---|
//! | `command` | runs programs: prints the command line first, checks the exit status afterwards |
//! | `process` | runs a program with a deadline |
//! | `host` | how our host is started on a free port, and how its log is read |
//! | `operators` | the admin API of a developer's service, and its token |
//! | `serving` | starts a server and waits until it listens |
//! | `tools` | installs pinned third-party tools under `target/tools` |
//! | `components` | builds components |
//! | `adapters` | the adapters of the store |

#![allow(
    clippy::missing_errors_doc,
    reason = "every error is a TaskError: one line that names the command or file that failed"
)]

pub mod adapters;
pub mod command;
pub mod components;
pub mod host;
pub mod operators;
pub mod process;
pub mod serving;
pub mod tools;

use std::path::{Path, PathBuf};

/// The root folder of this repository.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Cargo's target folder.
#[must_use]
pub fn target() -> PathBuf {
    workspace().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()))
}
