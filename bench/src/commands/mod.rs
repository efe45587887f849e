//! The commands that measure our host alone.

pub(crate) mod load;
pub(crate) mod pages;
pub(crate) mod swaps;
