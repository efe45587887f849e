//! What is to be reached.

use super::{
    measure::Workload,
    results::{Results, Spread},
};
use crate::contender::{Contender, Start};

/// One target, and what was measured of it.
pub(crate) struct Target {
    /// What is compared with what.
    pub(crate) what: &'static str,
    /// What was measured, if it could be.
    pub(crate) measured: Option<Spread>,
    /// The bound.
    pub(crate) bound: Bound,
    /// Its unit; empty for a ratio.
    pub(crate) unit: &'static str,
}

/// A bound of the median.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn new(what: &'static str, measured: Option<Spread>, bound: Bound, unit: &'static str) -> Self {
        Self { what, measured, bound, unit }
    }

    /// Whether the median reaches it; none if nothing was measured.
    pub(crate) fn reached(&self) -> Option<bool> {
        let median = self.measured?.median;
        Some(match self.bound {
            Bound::AtLeast(bound) => median >= bound,
            Bound::AtMost(bound) => median <= bound,
        })
    }
}

/// All targets.
pub(crate) fn all(results: &Results) -> Vec<Target> {
    use Bound::{AtLeast, AtMost};
    use Contender::{Gin, Host, HostReuse, Native, WasmtimeServe};
    use Workload::{Create, Durable, PostgresCreate, PostgresGet, Wide};
    let ratio = |workload, of, to| results.ratio(workload, of, to);
    let ahead = results.start_ratio(Start::HostAhead, Start::Gin);
    let compiling = results.start_ratio(Start::Host, Start::WasmtimeServe);
    vec![
        Target::new("create: fresh instance / Gin", ratio(Create, Host, Gin), AtLeast(1.25), ""),
        Target::new(
            "create: fresh instance / wasmtime serve",
            ratio(Create, Host, WasmtimeServe),
            AtLeast(5.0),
            "",
        ),
        Target::new("create: reused instance / native", ratio(Create, HostReuse, Native), AtLeast(0.75), ""),
        Target::new("durable create: orders-host / native", ratio(Durable, Host, Native), AtLeast(0.85), ""),
        Target::new(
            "create, PostgreSQL: fresh instance / Gin",
            ratio(PostgresCreate, Host, Gin),
            AtLeast(1.0),
            "",
        ),
        Target::new(
            "create, PostgreSQL: reused instance / Gin",
            ratio(PostgresCreate, HostReuse, Gin),
            AtLeast(1.0),
            "",
        ),
        Target::new("get, PostgreSQL: fresh instance / Gin", ratio(PostgresGet, Host, Gin), AtLeast(1.0), ""),
        Target::new(
            "get, PostgreSQL: reused instance / Gin",
            ratio(PostgresGet, HostReuse, Gin),
            AtLeast(1.0),
            "",
        ),
        Target::new("cold start: compiled ahead of time / Gin", ahead, AtMost(1.0), ""),
        Target::new("cold start: compiling / wasmtime serve, compiling", compiling, AtMost(1.0), ""),
        Target::new(
            "resident memory, idle",
            results.of(Create, Host, |figures| figures.idle),
            AtMost(25.0),
            " MiB",
        ),
        Target::new(
            "resident memory, 256 connections",
            results.of(Wide, Host, |figures| figures.peak),
            AtMost(80.0),
            " MiB",
        ),
        Target::new(
            "create: p99 / p50",
            results.of(Create, Host, |figures| figures.p99 / figures.p50),
            AtMost(8.0),
            "",
        ),
    ]
}
