//! The commands that measure our host alone.
//!
//! | file | command |
//! |---|---|
//! | `load` | `cargo xtask load` |
//! | `pages` | `cargo xtask pages` |
//! | `swaps` | `cargo xtask swaps` |

pub(crate) mod load;
pub(crate) mod pages;
pub(crate) mod swaps;
