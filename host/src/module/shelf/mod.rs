//! The module folder: modules that outlive the process. It has components, their compiled code, the name of the module that
//! serves, and what the host knew about modules.
//!
//! ```text
//! <SHA-256>.wasm        a component
//! <SHA-256>.compiled    the code that was compiled from it; its format is described in `compiled`
//! active                the module that serves, and the component that `--component` named at the time:
//!                           module <SHA-256>
//!                           component <SHA-256>
//! history               what the host knew about modules; its format is described in `rollout/history`. The file `active`
//!                       prevails: the folder is valid without a history, and earlier versions of the host ignore it
//! lock                  empty; locked by the process that uses the folder
//! .<name>.<UUID>        a temporary file, left by an interrupted write
//! ```
//!
//! Each file is written completely or not at all, and is durable when the call returns. Whenever the process is killed, the
//! folder is in the state before or after the change, and each `.wasm` file is complete.
//!
//! Compiled code is loaded from this folder and runs outside the sandbox. So the folder and each file that is read must
//! belong to this process's user, and no other user may be able to write to them. The parent folders are trusted to stay
//! unchanged.
//!
//! | file | what it does |
//! |---|---|
//! | `names` | the names of the files, and of the points at which tests kill this process |
//! | `active` | the file `active`: which module serves, as two lines of text |
//! | `ownership` | locks the folder, and reads only files that belong to this process's user alone |
//! | `folder` | stores, finds and activates modules |
//! | `history` | the file `history`, as bytes |
//! | `retention` | removes old modules |

mod active;
mod folder;
mod history;
mod names;
mod ownership;
mod retention;

pub use active::ActiveModule;
pub use folder::{Shelf, StoredModule};
pub use names::{MAX_HISTORY_BYTES, POINTS};
