//! What came of it in one host.

/// What one component did in one host.
pub(crate) struct Row {
    pub(crate) host: &'static str,
    pub(crate) component: &'static str,
    pub(crate) what: &'static str,
}

impl Row {
    pub(crate) fn new(host: &'static str, component: &'static str, what: &'static str) -> Self {
        Self { host, component, what }
    }
}

/// What one host did in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// Creates a second.
    pub(crate) rate: f64,
    /// Orders in its store at the end.
    pub(crate) orders: u32,
}

/// Where the orders are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// An answer of 201 means that it is on the disk.
    Disk,
    Memory,
    /// With the instance of the request: the next one finds nothing.
    Nowhere,
}

impl Store {
    /// What our host is compared by: the same promise, or the one above it.
    pub(crate) fn compared_with(self) -> Self {
        if self == Self::Disk { Self::Disk } else { Self::Memory }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Disk => "on the disk",
            Self::Memory => "in memory",
            Self::Nowhere => "nowhere",
        }
    }
}

/// A component in a host, to be measured.
pub(crate) struct Rate {
    pub(crate) host: &'static str,
    pub(crate) component: &'static str,
    pub(crate) store: Store,
    /// The median of its rounds.
    pub(crate) round: Round,
}
