//! The history of an order.

use serde::Serialize;

use super::fields::{Reason, Tracking};
use super::identity::Version;
use super::status::Action;
use super::timestamp::Timestamp;

/// A change to an order. Clients receive what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The version of the order after the change. Events are numbered from 1 without gaps.
    pub seq: Version,
    /// The type of the change.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When the order changed.
    pub occurred_at: Timestamp,
    /// Where the shipment can be tracked, if the client said so when it shipped the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
    /// Why the order was cancelled, if the client gave a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Which version wrote the event.
    #[cfg(feature = "next")]
    pub by: &'static str,
    /// The names of the members that an update changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<&'static str>,
}

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// The order was created.
    Created,
    /// [`Action::Confirm`]
    Confirmed,
    /// [`Action::Ship`]
    Shipped,
    /// [`Action::Deliver`]
    Delivered,
    /// [`Action::Cancel`]
    Cancelled,
    /// [`Action::Return`]
    #[cfg(feature = "next")]
    Returned,
    /// Notes, metadata or the tracking of a shipped order changed.
    Updated,
}

impl Event {
    /// An event without details.
    pub(super) const fn new(seq: Version, kind: EventKind, occurred_at: Timestamp) -> Self {
        Self {
            seq,
            kind,
            occurred_at,
            tracking: None,
            reason: None,
            #[cfg(feature = "next")]
            by: "next",
            changed: Vec::new(),
        }
    }
}

impl EventKind {
    /// The type of the event that an action causes.
    pub(super) const fn for_action(action: Action) -> Self {
        match action {
            Action::Confirm => Self::Confirmed,
            Action::Ship => Self::Shipped,
            Action::Deliver => Self::Delivered,
            Action::Cancel => Self::Cancelled,
            #[cfg(feature = "next")]
            Action::Return => Self::Returned,
        }
    }
}
