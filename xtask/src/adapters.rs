//! The adapters of the store: the orders component together with one of them runs in hosts of others.

use std::path::PathBuf;

use crate::target;

/// An adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    /// Keeps orders in the instance's memory.
    Memory,
    /// Keeps orders in a folder that the host grants.
    Filesystem,
    /// Over `wasi:keyvalue@0.2.0-draft`.
    Keyvalue,
    /// Over `wasi:keyvalue@0.2.0-draft2`, which Spin has.
    Spin,
}

impl Adapter {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Filesystem, Self::Keyvalue, Self::Spin];

    /// Its package.
    #[must_use]
    pub fn package(self) -> &'static str {
        match self {
            Self::Memory => "orders-adapter-memory",
            Self::Filesystem => "orders-adapter-filesystem",
            Self::Keyvalue => "orders-adapter-keyvalue",
            Self::Spin => "orders-adapter-keyvalue-draft2",
        }
    }

    /// The name of the composed component.
    #[must_use]
    pub fn composed(self) -> &'static str {
        match self {
            Self::Memory => "orders-memory.wasm",
            Self::Filesystem => "orders-filesystem.wasm",
            Self::Keyvalue => "orders-keyvalue.wasm",
            Self::Spin => "orders-spin.wasm",
        }
    }

    /// Where the composed component is built.
    #[must_use]
    pub fn path(self) -> PathBuf {
        target().join("components").join(self.composed())
    }
}
