//! Compilation targets: which of them this host compiles for, and which code this machine can load.

use crate::sandbox::engine::TARGET;

/// The machine kinds (see [`machine_kind`]) that this program can compile for besides its own.
const FOREIGN: &[[&str; 2]] =
    if cfg!(feature = "foreign") { &[["x86_64", "linux"], ["aarch64", "linux"]] } else { &[] };
/// The targets that this program can compile for, as an error message names them.
pub(super) const SUPPORTED: &str =
    if FOREIGN.is_empty() { "its own kind of machine only" } else { "Linux on x86_64 and aarch64" };

/// Whether this program can compile for a target.
pub(super) fn is_supported(target: &str) -> bool {
    fits_machine(target) || FOREIGN.contains(&machine_kind(target))
}

/// Whether this machine can load code that was compiled for a target.
pub(super) fn fits_machine(target: &str) -> bool {
    machine_kind(target) == machine_kind(TARGET)
}

/// The architecture and the operating system of a target: what code depends on, apart from the processor. On Linux, code
/// does not depend on the C library.
fn machine_kind(target: &str) -> [&str; 2] {
    let mut parts = target.split('-');
    [parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_kind_is_the_architecture_and_the_operating_system() {
        assert_eq!(machine_kind("aarch64-unknown-linux-musl"), ["aarch64", "linux"]);
        assert_eq!(machine_kind("x86_64-pc-windows-msvc"), ["x86_64", "windows"]);
        for invalid in ["", "x86_64", "x86_64-linux"] {
            assert!(!fits_machine(invalid) && !is_supported(invalid), "{invalid}");
        }
        assert!(fits_machine(TARGET));
    }
}
