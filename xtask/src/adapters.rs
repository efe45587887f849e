//! The adapters of the store. Composed with one of them, the orders component runs on other hosts.

use std::path::PathBuf;

use crate::target;

/// An adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    /// Stores orders in the memory of the instance.
    Memory,
    /// Stores orders in a folder that the host grants.
    Filesystem,
    /// Stores orders with `wasi:keyvalue@0.2.0-draft`.
    Keyvalue,
    /// Stores orders with `wasi:keyvalue@0.2.0-draft2`, which Spin provides.
    Spin,
}

impl Adapter {
    /// All adapters.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Filesystem, Self::Keyvalue, Self::Spin];

    /// The cargo package.
    #[must_use]
    pub fn package(self) -> &'static str {
        self.names().0
    }

    /// The file name of the composed component.
    #[must_use]
    pub fn composed(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Memory => ("orders-adapter-memory", "orders-memory.wasm"),
            Self::Filesystem => ("orders-adapter-filesystem", "orders-filesystem.wasm"),
            Self::Keyvalue => ("orders-adapter-keyvalue", "orders-keyvalue.wasm"),
            Self::Spin => ("orders-adapter-keyvalue-draft2", "orders-spin.wasm"),
        }
    }

    /// The path of the composed component.
    #[must_use]
    pub fn path(self) -> PathBuf {
        target().join("components").join(self.composed())
    }
}
