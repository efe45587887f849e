//! One file a command, if it is longer than a few lines.

pub(crate) mod check;
pub(crate) mod contract;
pub(crate) mod fuzz;
pub(crate) mod infra;
pub(crate) mod sbom;
pub(crate) mod serve;
pub(crate) mod watch;
