//! Orders.

use serde::Serialize;

use super::currency::Currency;
use super::event::{Event, EventKind};
use super::fields::{Amount, Customer, Items, Metadata, Notes};
use super::identity::{OrderId, Version};
use super::status::Status;
use super::timestamp::Timestamp;

/// A new order, as it is stored and sent to clients. What is stored later is a [`StoredOrder`](super::StoredOrder).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// How urgent the order is.
    #[cfg(feature = "next")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<super::fields::Sku>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<Notes>,
    /// Members defined by the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// When the order was created: the time in its id.
    pub created_at: Timestamp,
    /// When the order last changed.
    pub updated_at: Timestamp,
}

impl Order {
    /// Creates an order, together with its first event. `sub_ms_ns` are the nanoseconds since the last millisecond.
    #[must_use]
    pub fn create(new: NewOrder, now: Timestamp, sub_ms_ns: u32, random: [u8; 16]) -> (Self, Event) {
        let order = Self {
            id: OrderId::new(now, sub_ms_ns, random),
            status: Status::Pending,
            version: Version::FIRST,
            total: new.items.total(),
            customer: new.customer,
            currency: new.currency,
            items: new.items,
            #[cfg(feature = "next")]
            priority: new.priority,
            notes: new.notes,
            metadata: new.metadata,
            created_at: now,
            updated_at: now,
        };
        let event = Event::new(order.version, EventKind::Created, now);
        (order, event)
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
    /// How urgent the order is.
    #[cfg(feature = "next")]
    pub priority: Option<super::fields::Sku>,
    /// Free text.
    pub notes: Option<Notes>,
    /// Members defined by the client.
    pub metadata: Option<Metadata>,
}
