//! Names the setting that prevents this process from making memory executable, or from reserving it.

use std::io;

use rustix::io::Errno;

const NOT_EXECUTABLE: &str = "this process may not make memory executable: remove MemoryDenyWriteExecute= from its systemd unit, or \
                              allow `execmem` in the policy of SELinux";
/// What to change if memory cannot be reserved.
pub const NOT_RESERVED: &str = "its address space is limited: raise `ulimit -v` (RLIMIT_AS, LimitAS= of systemd), or lower \
                            --max-concurrent or --max-memory";

/// The error with its causes, in one line, and what to change, if that is known.
pub fn with_remedy(error: &wasmtime::Error) -> String {
    let line = format!("{error:#}").replace(char::is_control, " ");
    match remedy(error) {
        Some(remedy) => format!("{line}; {remedy}"),
        None => line,
    }
}

fn remedy(error: &wasmtime::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        let system = cause.downcast_ref::<io::Error>().and_then(Errno::from_io_error);
        match system.or_else(|| cause.downcast_ref::<Errno>().copied())? {
            Errno::ACCESS | Errno::PERM => Some(NOT_EXECUTABLE),
            Errno::NOMEM => Some(NOT_RESERVED),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{NOT_EXECUTABLE, NOT_RESERVED, remedy, with_remedy};

    #[test]
    fn the_remedy_follows_from_the_systems_error() {
        let error = |code| wasmtime::Error::new(io::Error::from_raw_os_error(code)).context("unable to map");
        assert_eq!(remedy(&error(13)), Some(NOT_EXECUTABLE));
        assert_eq!(remedy(&error(12)), Some(NOT_RESERVED));
        assert_eq!(remedy(&error(9)), None);
        let line = with_remedy(&error(12));
        assert!(line.starts_with("unable to map: ") && line.contains("ulimit -v"), "{line}");
    }
}
