//! The workloads.

use std::fmt;

use clap::ValueEnum;

use crate::contender::Contender;

/// The requests that a contender gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Workload {
    /// Create orders; in memory
    Create,
    /// Get single orders; in memory
    Get,
    /// List the newest 20 orders; in memory
    List,
    /// Nine gets to one create; in memory
    Mix,
    /// Get single orders over 256 connections, to measure memory
    Wide,
    /// Create orders over 64 connections; durable, with SQLite
    Durable,
    /// Create orders; durable, with PostgreSQL
    PostgresCreate,
    /// Get single orders; with PostgreSQL
    PostgresGet,
}

impl Workload {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }

    /// The title in the report, the script for wrk, and the number of connections.
    fn parameters(self) -> (&'static str, &'static str, u32) {
        match self {
            Self::Create => ("Create an order", "create.lua", 32),
            Self::Get => ("Get an order", "get.lua", 32),
            Self::List => ("List 20 orders", "list.lua", 32),
            Self::Mix => ("Nine gets to one create", "mix.lua", 32),
            Self::Wide => ("Get an order, 256 connections", "get.lua", 256),
            Self::Durable => ("Create an order durably: SQLite, 64 connections", "create.lua", 64),
            Self::PostgresCreate => ("Create an order durably: PostgreSQL, 32 connections", "create.lua", 32),
            Self::PostgresGet => ("Get an order: PostgreSQL, 32 connections", "get.lua", 32),
        }
    }

    pub(crate) fn title(self) -> &'static str {
        self.parameters().0
    }

    pub(crate) fn script(self) -> &'static str {
        self.parameters().1
    }

    pub(crate) fn connections(self) -> u32 {
        self.parameters().2
    }

    /// Whether it only creates orders.
    pub(crate) fn only_creates(self) -> bool {
        matches!(self, Self::Create | Self::Durable | Self::PostgresCreate)
    }

    /// Whether a contender supports it: wasmtime serve loses each order with its instance, Gin has no SQLite store, and
    /// native axum is not measured with PostgreSQL.
    pub(crate) fn suits(self, contender: Contender) -> bool {
        match contender {
            Contender::WasmtimeServe => self == Self::Create,
            Contender::Gin => self != Self::Durable,
            Contender::Native => !self.needs_postgres(),
            Contender::Host | Contender::HostReuse => true,
        }
    }

    /// Whether it needs a PostgreSQL server.
    pub(crate) fn needs_postgres(self) -> bool {
        matches!(self, Self::PostgresCreate | Self::PostgresGet)
    }

    /// The contender that all others are compared with.
    pub(crate) fn baseline(self) -> Contender {
        if self.needs_postgres() { Contender::Gin } else { Contender::Native }
    }
}

impl fmt::Display for Workload {
    /// Its name on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().as_ref().map_or("", clap::builder::PossibleValue::get_name))
    }
}
