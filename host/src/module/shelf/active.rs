//! The file `active`: which module serves, as two lines of text.

use std::fmt;

use crate::module::hash::ModuleHash;

/// The module that serves after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveModule {
    /// The module that served.
    pub module: ModuleHash,
    /// The component that `--component` named when the module began to serve.
    pub component: ModuleHash,
}

impl ActiveModule {
    /// Parses exactly what [`ActiveModule`] displays, to the byte.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let lines = str::from_utf8(bytes).ok()?.strip_prefix("module ")?.strip_suffix('\n')?;
        let (module, component) = lines.split_once("\ncomponent ")?;
        Some(Self { module: module.parse().ok()?, component: component.parse().ok()? })
    }
}

impl fmt::Display for ActiveModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "module {}\ncomponent {}", self.module, self.component)
    }
}
