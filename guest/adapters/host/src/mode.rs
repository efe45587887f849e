//! How a bucket behaves. Each mode but the first does what the sources of another host say, or what a network does.

use clap::ValueEnum;

/// What a bucket does that the drafts of `wasi:keyvalue` do not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Nothing: each call is atomic, and counters are eight bytes
    #[default]
    Exact,
    /// A swap from "absent" replaces what another writer has stored meanwhile (Spin with SQLite)
    SwapUpserts,
    /// An increment of a value that is not a counter traps, and so does each call from then on (Spin with SQLite)
    IncrementTraps,
    /// An instance may make 256 compare-and-swap handles, and none is freed (Spin)
    FewCasHandles,
    /// Counters are decimal digits, and a swap reports a failure although it took place (Spin with Redis)
    SwapReportsFailure,
    /// A counter is read and then written, without a lock (wasmCloud with a file system)
    CountInTwoSteps,
    /// A page of a list has three keys
    SmallPages,
    /// Each call takes 2 ms longer
    Slow,
    /// Each tenth call fails and does nothing
    FailsBefore,
    /// Each tenth call fails after it has done what it was asked to do
    FailsAfter,
}

impl Mode {
    /// The most keys of a page.
    pub(crate) const fn page_keys(self) -> u32 {
        match self {
            Self::SmallPages => 3,
            _ => 1000,
        }
    }

    /// How many compare-and-swap handles an instance may make.
    pub(crate) const fn max_cas_handles(self) -> u32 {
        match self {
            Self::FewCasHandles => 256,
            _ => u32::MAX,
        }
    }

    /// Encodes a counter.
    pub(crate) fn encode(self, number: i64) -> Vec<u8> {
        match self {
            Self::SwapReportsFailure => number.to_string().into_bytes(),
            _ => number.to_le_bytes().to_vec(),
        }
    }

    /// Decodes a counter; none if the value is not one.
    pub(crate) fn decode(self, value: &[u8]) -> Option<i64> {
        match self {
            Self::SwapReportsFailure => str::from_utf8(value).ok()?.parse().ok(),
            _ => Some(i64::from_le_bytes(value.try_into().ok()?)),
        }
    }
}
