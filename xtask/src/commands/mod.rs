//! | file | command |
//! |---|---|
//! | `check` | `check`, and its parts `infra` and `advisories` |
//! | `contract` | `contract` |
//! | `fuzz` | `fuzz` |
//! | `sbom` | `sbom` |
//! | `serve` | `serve` |
//! | `watch` | `watch` |

pub(crate) mod check;
pub(crate) mod contract;
pub(crate) mod fuzz;
pub(crate) mod sbom;
pub(crate) mod serve;
pub(crate) mod watch;
