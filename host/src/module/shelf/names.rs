//! The names of the files in the folder, and of the points at which tests kill this process.

use std::{fmt, path::Path};

use crate::module::hash::ModuleHash;

/// What the name of a component's file ends with.
pub(super) const COMPONENT: &str = ".wasm";
/// What the name of a compiled component's file ends with.
pub(super) const COMPILED: &str = ".compiled";
/// The file that says which module serves.
pub(super) const ACTIVE: &str = "active";
/// The largest such file that is read, in bytes: it has 149.
pub(super) const MAX_POINTER: u64 = 1024;
/// What helps against a component that is not as it was.
pub(super) const HELP: &str =
    "put the same component there again; without the file `active` beside it, --component is served";

/// Points at which tests kill this process: when a file is written, has its name, has it for good.
pub(super) const STORING: [&str; 3] = ["component written", "component renamed", "component stored"];
/// The same for compiled code.
pub(super) const COMPILING: [&str; 3] = ["compiled written", "compiled renamed", "compiled stored"];
/// The same for the pointer.
pub(super) const ACTIVATING: [&str; 3] = ["pointer written", "pointer renamed", "pointer stored"];
/// While a module is removed.
pub(super) const REMOVING: [&str; 3] = ["compiled removed", "component removed", "removal stored"];
/// All points, in the order in which a module's life passes them.
pub const POINTS: [[&str; 3]; 4] = [STORING, COMPILING, ACTIVATING, REMOVING];

/// The module whose file has this name and is of this kind.
pub(super) fn module_of(name: &str, kind: &str) -> Option<ModuleHash> {
    let module: ModuleHash = name.strip_suffix(kind)?.parse().ok()?;
    // A hash can be written in several ways, and a file is not found under the others.
    (format!("{module}{kind}") == name).then_some(module)
}

/// Whether a file of this name is one that is written here.
pub(super) fn is_ours(name: &str) -> bool {
    name == ACTIVE || [COMPONENT, COMPILED].iter().any(|kind| module_of(name, kind).is_some())
}

/// A fault of a file, with its name.
pub(super) fn refused(what: &str, path: &Path, why: &dyn fmt::Display) -> String {
    format!("{what} {}: {why}", path.display())
}
