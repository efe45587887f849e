//! The limit of open files.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files other than connections: more than enough.
const OTHERS: u64 = 64;

/// Raises the limit of open files for this many connections: each is one.
pub(crate) fn allow_connections(connections: u32) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::from(connections) + OTHERS;
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum })?)
}
