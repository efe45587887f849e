//! Which module serves, as two lines of text.

use std::fmt;

use crate::module::hash::ModuleHash;

/// What was active last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// The module that served.
    pub module: ModuleHash,
    /// The component that `--component` named when it began to.
    pub component: ModuleHash,
}

impl Active {
    /// Reads what [`Active`] is written as, to the byte.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let lines = str::from_utf8(bytes).ok()?.strip_prefix("module ")?.strip_suffix('\n')?;
        let (module, component) = lines.split_once("\ncomponent ")?;
        Some(Self { module: module.parse().ok()?, component: component.parse().ok()? })
    }
}

impl fmt::Display for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "module {}\ncomponent {}", self.module, self.component)
    }
}
