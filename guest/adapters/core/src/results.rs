//! The results of calls, which may carry [`MAX_TRANSFER_BYTES`](crate::contract::MAX_TRANSFER_BYTES).

use crate::contract::{Entry, Error, Stored, check_transfer};

/// The result of a `get`.
#[derive(Debug, Default)]
pub(crate) struct Values {
    values: Vec<Option<Stored>>,
    bytes: usize,
}

impl Values {
    /// Adds what was found under the next key.
    pub(crate) fn push(&mut self, found: Option<&Stored>) -> Result<(), Error> {
        self.bytes += found.map_or(0, |stored| stored.value.len());
        check_transfer(self.bytes)?;
        self.values.push(found.cloned());
        Ok(())
    }

    pub(crate) fn into_vec(self) -> Vec<Option<Stored>> {
        self.values
    }
}

/// The result of a `scan`.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    entries: Vec<Entry>,
    bytes: usize,
}

impl Entries {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Adds the next entry.
    pub(crate) fn push(&mut self, key: &str, stored: &Stored) -> Result<(), Error> {
        self.bytes += key.len() + stored.value.len();
        check_transfer(self.bytes)?;
        self.entries.push(Entry { key: key.to_owned(), stored: stored.clone() });
        Ok(())
    }

    pub(crate) fn into_vec(self) -> Vec<Entry> {
        self.entries
    }
}
