//! Changing notes and metadata by a JSON merge patch (RFC 7396).

use std::collections::BTreeMap;

use super::event::{Event, EventKind};
use super::fields::{Metadata, MetadataName, MetadataValue, Notes};
use super::model::Order;
use super::timestamp::Timestamp;

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

impl MetadataPatch {
    /// Returns the metadata after the patch.
    ///
    /// # Errors
    /// [`Metadata::RULE`] if the result has too many members.
    fn apply_to(&self, metadata: Option<&Metadata>) -> Result<Option<Metadata>, &'static str> {
        let Self::Merge(changes) = self else { return Ok(None) };
        let mut members = metadata.map(|metadata| metadata.members().clone()).unwrap_or_default();
        for (name, value) in changes {
            match value {
                Some(value) => _ = members.insert(name.clone(), value.clone()),
                None => _ = members.remove(name),
            }
        }
        Metadata::try_from(members).map(Some)
    }
}

impl Order {
    /// Returns the order after a patch, with the event to record; `None` if the patch changes nothing.
    ///
    /// # Errors
    /// The rule that the merged metadata would break.
    pub fn apply_patch(&self, patch: &Patch, now: Timestamp) -> Result<Option<(Self, Event)>, &'static str> {
        let mut order = self.clone();
        if let Some(notes) = &patch.notes {
            order.notes.clone_from(notes);
        }
        if let Some(metadata) = &patch.metadata {
            order.metadata = metadata.apply_to(self.metadata.as_ref())?;
        }
        let changed: Vec<String> =
            [("notes", order.notes != self.notes), ("metadata", order.metadata != self.metadata)]
                .into_iter()
                .filter(|(_, changed)| *changed)
                .map(|(name, _)| name.to_owned())
                .collect();
        if changed.is_empty() {
            return Ok(None);
        }
        order.record_change(now);
        let event = Event { changed, ..order.latest_event(EventKind::Updated) };
        Ok(Some((order, event)))
    }
}
