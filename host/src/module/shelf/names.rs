//! The names of the files in the folder, and of the points at which tests kill this process.

use std::{fmt, path::Path};

use crate::module::hash::ModuleHash;

/// The suffix of a component's file name.
pub(super) const COMPONENT_SUFFIX: &str = ".wasm";
/// The suffix of a compiled component's file name.
pub(super) const COMPILED_SUFFIX: &str = ".compiled";
/// The file that says which module serves.
pub(super) const ACTIVE_FILE: &str = "active";
/// Maximum size of the file `active`, in bytes; a valid one has 149.
pub(super) const MAX_ACTIVE_BYTES: u64 = 1024;
/// The file that says what the host knew about modules.
pub(super) const HISTORY_FILE: &str = "history";
/// Maximum size of the file `history`, in bytes: 64 records of 16 KiB each. The longest of them gives a reason of a few KiB.
pub const MAX_HISTORY_BYTES: u64 = 64 * (16 << 10);

/// Points at which tests kill this process while it stores a component: after the file is written under its temporary name,
/// after it is renamed, and after the folder is synced.
pub(super) const COMPONENT_POINTS: [&str; 3] = ["component written", "component renamed", "component stored"];
/// The same points for compiled code.
pub(super) const COMPILED_POINTS: [&str; 3] = ["compiled written", "compiled renamed", "compiled stored"];
/// The same points for the file `active`.
pub(super) const ACTIVE_POINTS: [&str; 3] = ["pointer written", "pointer renamed", "pointer stored"];
/// The same points for the file `history`.
pub(super) const HISTORY_POINTS: [&str; 3] = ["history written", "history renamed", "history stored"];
/// Points while a module is removed.
pub(super) const REMOVAL_POINTS: [&str; 3] = ["compiled removed", "component removed", "removal stored"];
/// All points, in the order in which a module's life passes them.
pub const POINTS: [[&str; 3]; 5] =
    [COMPONENT_POINTS, COMPILED_POINTS, ACTIVE_POINTS, HISTORY_POINTS, REMOVAL_POINTS];

/// The module whose file has this name and this suffix.
pub(super) fn module_of_file(name: &str, suffix: &str) -> Option<ModuleHash> {
    let module: ModuleHash = name.strip_suffix(suffix)?.parse().ok()?;
    // A hash also parses in upper case, but its file is never looked up under such a name.
    (format!("{module}{suffix}") == name).then_some(module)
}

/// Whether the shelf writes files of this name.
pub(super) fn is_shelf_file(name: &str) -> bool {
    [ACTIVE_FILE, HISTORY_FILE].contains(&name)
        || [COMPONENT_SUFFIX, COMPILED_SUFFIX].iter().any(|suffix| module_of_file(name, suffix).is_some())
}

/// An error about a file, with its path.
pub(super) fn file_error(what: &str, path: &Path, why: &dyn fmt::Display) -> String {
    format!("{what} {}: {why}", path.display())
}
