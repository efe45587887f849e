//! The commands that measure our host alone.
//!
//! | file | command |
//! |---|---|
//! | `load` | `cargo xtask load` |
//! | `pages` | `cargo xtask pages` |
//! | `probes` | `cargo xtask probes` |
//! | `snapshots` | `cargo xtask snapshots` |
//! | `swaps` | `cargo xtask swaps` |

pub(crate) mod load;
pub(crate) mod pages;
pub(crate) mod probes;
pub(crate) mod snapshots;
pub(crate) mod swaps;
