//! Orders.

use serde::{Deserialize, Serialize};

use super::currency::Currency;
use super::event::{Event, EventKind};
use super::fields::{Amount, Customer, Items, Metadata, Notes};
use super::identity::{OrderId, Version};
use super::status::Status;
use super::timestamp::Timestamp;

/// An order. The same serialized form is stored and sent to clients.
///
/// Deserialization ignores unknown members: a newer version of the service may have written them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Identifies the order. It never changes.
    pub id: OrderId,
    /// The position of the order in its life cycle.
    pub status: Status,
    /// The number of this version of the order; every change adds one.
    pub version: Version,
    /// Who ordered.
    pub customer: Customer,
    /// The currency of every amount in the order.
    pub currency: Currency,
    /// What was ordered.
    pub items: Items,
    /// Σ quantity × unit price.
    pub total: Amount,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Notes>,
    /// Members defined by the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// When the order was created: the time in its id.
    pub created_at: Timestamp,
    /// When the order last changed.
    pub updated_at: Timestamp,
}

impl Order {
    /// Creates an order, together with its first event.
    #[must_use]
    pub fn create(new: NewOrder, now: Timestamp, random: [u8; 16]) -> (Self, Event) {
        let order = Self {
            id: OrderId::new(now, random),
            status: Status::Pending,
            version: Version::FIRST,
            total: new.items.total(),
            customer: new.customer,
            currency: new.currency,
            items: new.items,
            notes: new.notes,
            metadata: new.metadata,
            created_at: now,
            updated_at: now,
        };
        let event = order.latest_event(EventKind::Created);
        (order, event)
    }

    /// The event for the change that led to the present version.
    pub(super) const fn latest_event(&self, kind: EventKind) -> Event {
        Event::new(self.version, kind, self.updated_at)
    }

    /// Increments the version. `updated_at` never decreases, even if the clock goes backwards.
    pub(super) fn record_change(&mut self, now: Timestamp) {
        self.version = self.version.next();
        self.updated_at = self.updated_at.max(now);
    }
}

/// A request to create an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// Who orders.
    pub customer: Customer,
    /// The currency of every amount: one in force.
    pub currency: Currency,
    /// What is ordered.
    pub items: Items,
    /// Free text.
    pub notes: Option<Notes>,
    /// Members defined by the client.
    pub metadata: Option<Metadata>,
}
