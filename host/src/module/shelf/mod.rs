//! Modules that outlive the process: a folder with their components, their code, and which of them serves.
//!
//! ```text
//! <SHA-256>.wasm        a component
//! <SHA-256>.compiled    what was compiled of it, as `compiled` describes
//! active                which one serves, and which one `--component` named when it began to:
//!                           module <SHA-256>
//!                           component <SHA-256>
//! lock                  empty; locked by the process that the folder belongs to
//! .<name>.<UUID>        unfinished: a write that was broken off
//! ```
//!
//! Each file is written whole or not at all, and is durable when the call returns. The process may be killed at any
//! point: what is found then is the state before or after, and a component under its name is whole.
//!
//! Compiled code is loaded from here, and no sandbox holds it. So the folder and each file that is read must belong to
//! this process's user, and nobody else may be able to write to them. The folders above it are trusted to stay as they
//! are.
//!
//! | file | what it does |
//! |---|---|
//! | `names` | the names of the files, and of the points at which tests kill this process |
//! | `active` | which module serves, as two lines of text |
//! | `own` | reads and claims what belongs to this process's user alone |
//! | `folder` | what is put into the folder, found in it, and which module is active |
//! | `retention` | removes old modules |

mod active;
mod folder;
mod names;
mod own;
mod retention;

pub use active::Active;
pub use folder::{Shelf, Stored};
pub use names::POINTS;
