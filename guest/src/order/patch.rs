//! Changing an order by a JSON merge patch (RFC 7396).

use std::collections::BTreeMap;

use super::{Event, EventKind, Metadata, MetadataName, MetadataValue, Notes, Order, Timestamp};

/// What a merge patch says about each member that a client may change; none if it does not name the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The new notes, or their removal.
    pub notes: Option<Option<Notes>>,
    /// What becomes of the metadata.
    pub metadata: Option<MetadataPatch>,
}

/// What a merge patch makes of metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataPatch {
    /// `null`: it goes.
    Remove,
    /// An object: each member is set, or removed if it is `null`.
    Merge(BTreeMap<MetadataName, Option<MetadataValue>>),
}

impl MetadataPatch {
    /// The metadata after the patch.
    ///
    /// # Errors
    /// [`Metadata::RULE`] if it would have too many members.
    fn applied_to(&self, metadata: Option<&Metadata>) -> Result<Option<Metadata>, &'static str> {
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
    /// The order after a patch, and what to note of it; none if the patch changes nothing.
    ///
    /// # Errors
    /// The rule that the merged metadata would break.
    pub fn patched(&self, patch: &Patch, now: Timestamp) -> Result<Option<(Self, Event)>, &'static str> {
        let mut order = self.clone();
        if let Some(notes) = &patch.notes {
            order.notes.clone_from(notes);
        }
        if let Some(metadata) = &patch.metadata {
            order.metadata = metadata.applied_to(self.metadata.as_ref())?;
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
        order.changed_at(now);
        let event = Event { changed, ..Event::latest(&order, EventKind::Updated) };
        Ok(Some((order, event)))
    }
}
