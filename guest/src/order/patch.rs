//! A JSON merge patch (RFC 7396) of notes and metadata.

use std::collections::BTreeMap;

use super::fields::{MetadataName, MetadataValue, Notes};

/// A merge patch of the members that a client may change. `None` leaves the member unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The new notes; `Some(None)` removes them.
    pub notes: Option<Option<Notes>>,
    /// The change to the metadata.
    pub metadata: Option<MetadataPatch>,
}

/// The change that a merge patch makes to metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataPatch {
    /// `null`: removes all metadata.
    Remove,
    /// An object: sets each member, or removes it if its value is `null`.
    Merge(BTreeMap<MetadataName, Option<MetadataValue>>),
}
