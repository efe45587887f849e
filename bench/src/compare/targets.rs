//! The targets.

use super::{
    results::{Results, Spread},
    workload::Workload,
};
use crate::contender::{Contender, Start};

/// One target, and its measurement.
pub(crate) struct Target {
    /// What is measured, or compared with what.
    pub(crate) name: &'static str,
    /// The measurement, if there is one.
    pub(crate) measured: Option<Spread>,
    /// The bound of the median.
    pub(crate) bound: Bound,
    /// The unit; empty for a ratio.
    pub(crate) unit: &'static str,
}

#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    /// Whether the median reaches the bound; `None` without a measurement.
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
    use Contender::{Gin, Host, HostReuse, Native, WasmtimeServe};
    use Workload::{Create, Durable, PostgresCreate, PostgresGet, Wide};
    let ratio = |name, workload, of, to, bound| {
        let measured = results.ratio(workload, of, to);
        Target { name, measured, bound: Bound::AtLeast(bound), unit: "" }
    };
    let start = |name, of, to| {
        let measured = results.start_ratio(of, to);
        Target { name, measured, bound: Bound::AtMost(1.0), unit: "" }
    };
    let at_most = |name, measured, bound, unit| Target { name, measured, bound: Bound::AtMost(bound), unit };
    let idle = results.figure(Create, Host, |figures| figures.idle);
    let wide = results.figure(Wide, Host, |figures| figures.peak);
    let tail = results.figure(Create, Host, |figures| figures.p99 / figures.p50);
    vec![
        ratio("create: fresh instance / Gin", Create, Host, Gin, 1.25),
        ratio("create: fresh instance / wasmtime serve", Create, Host, WasmtimeServe, 5.0),
        ratio("create: reused instance / native", Create, HostReuse, Native, 0.75),
        ratio("durable create: orders-host / native", Durable, Host, Native, 0.85),
        ratio("create, PostgreSQL: fresh instance / Gin", PostgresCreate, Host, Gin, 1.0),
        ratio("create, PostgreSQL: reused instance / Gin", PostgresCreate, HostReuse, Gin, 1.0),
        ratio("get, PostgreSQL: fresh instance / Gin", PostgresGet, Host, Gin, 1.0),
        ratio("get, PostgreSQL: reused instance / Gin", PostgresGet, HostReuse, Gin, 1.0),
        start("cold start: compiled ahead of time / Gin", Start::HostAhead, Start::Gin),
        start("cold start: compiling / wasmtime serve, compiling", Start::Host, Start::WasmtimeServe),
        at_most("resident memory, idle", idle, 25.0, " MiB"),
        at_most("resident memory, 256 connections", wide, 80.0, " MiB"),
        at_most("create: p99 / p50", tail, 8.0, ""),
    ]
}
