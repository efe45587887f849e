//! How an order comes along: its states, the actions that lead from one to the next, and what is noted of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Order, Reason, Timestamp, Tracking, Version};

/// How far an order has come: pending → confirmed → shipped → delivered; pending or confirmed → cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Made, and nothing done about it yet.
    Pending,
    /// Taken on.
    Confirmed,
    /// On its way.
    Shipped,
    /// Arrived. Final.
    Delivered,
    /// Called off. Final.
    Cancelled,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Confirmed, Self::Shipped, Self::Delivered, Self::Cancelled];

    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// What can be done with an order in this state. Nothing leads out of a final one.
    #[must_use]
    pub const fn allows(self) -> &'static [Action] {
        match self {
            Self::Pending => &[Action::Confirm, Action::Cancel],
            Self::Confirmed => &[Action::Ship, Action::Cancel],
            Self::Shipped => &[Action::Deliver],
            Self::Delivered | Self::Cancelled => &[],
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What moves an order from one state to another. Written as the last segment of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Takes it on.
    Confirm,
    /// Sends it off.
    Ship,
    /// Notes that it has arrived.
    Deliver,
    /// Calls it off.
    Cancel,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Confirm, Self::Ship, Self::Deliver, Self::Cancel];

    /// Its name, as in a path and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Ship => "ship",
            Self::Deliver => "deliver",
            Self::Cancel => "cancel",
        }
    }

    /// The action with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// The state it leads to.
    #[must_use]
    pub const fn target(self) -> Status {
        match self {
            Self::Confirm => Status::Confirmed,
            Self::Ship => Status::Shipped,
            Self::Deliver => Status::Delivered,
            Self::Cancel => Status::Cancelled,
        }
    }
}

/// An action, with what a client says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// What is done.
    pub action: Action,
    /// Where the parcel can be followed; for [`Action::Ship`] only.
    pub tracking: Option<Tracking>,
    /// Why; for [`Action::Cancel`] only.
    pub reason: Option<Reason>,
}

/// Something that happened to an order. Its serialized form is what a client gets and what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The version that the order had after it: events are counted from 1 without a gap.
    pub seq: Version,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When.
    pub occurred_at: Timestamp,
    /// Said when the order was shipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
    /// Said when the order was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The members that an update changed, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
}

/// What can happen to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// It was made.
    Created,
    /// [`Action::Confirm`]
    Confirmed,
    /// [`Action::Ship`]
    Shipped,
    /// [`Action::Deliver`]
    Delivered,
    /// [`Action::Cancel`]
    Cancelled,
    /// Its notes or metadata were changed.
    Updated,
}

impl Event {
    /// What has just brought `order` to its present version.
    pub(super) fn latest(order: &Order, kind: EventKind) -> Self {
        Self {
            seq: order.version,
            kind,
            occurred_at: order.updated_at,
            tracking: None,
            reason: None,
            changed: Vec::new(),
        }
    }
}

/// An action that an order's state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAllowed {
    /// The state that the order is in.
    pub status: Status,
}

impl Order {
    /// The order after a transition, and what to note of it; none if it has reached that state already, so that
    /// there is nothing to do.
    ///
    /// # Errors
    /// [`NotAllowed`] if no such step leads out of the order's state.
    pub fn advanced(
        &self,
        transition: &Transition,
        now: Timestamp,
    ) -> Result<Option<(Self, Event)>, NotAllowed> {
        let target = transition.action.target();
        if self.status == target {
            return Ok(None);
        }
        if !self.status.allows().contains(&transition.action) {
            return Err(NotAllowed { status: self.status });
        }
        let mut order = self.clone();
        order.status = target;
        order.changed_at(now);
        let event = Event {
            tracking: transition.tracking.clone(),
            reason: transition.reason.clone(),
            ..Event::latest(&order, EventKind::of(transition.action))
        };
        Ok(Some((order, event)))
    }

    /// Counts a change. Its time never goes back, whatever the clock says.
    pub(super) fn changed_at(&mut self, now: Timestamp) {
        self.version = self.version.next();
        self.updated_at = self.updated_at.max(now);
    }
}

impl EventKind {
    const fn of(action: Action) -> Self {
        match action {
            Action::Confirm => Self::Confirmed,
            Action::Ship => Self::Shipped,
            Action::Deliver => Self::Delivered,
            Action::Cancel => Self::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Status};

    #[test]
    fn names_are_read_as_they_are_written() {
        for status in Status::ALL {
            assert_eq!(Status::named(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        for action in Action::ALL {
            assert_eq!(Action::named(action.name()), Some(action));
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
        assert_eq!((Status::named("Pending"), Action::named("Ship")), (None, None));
    }

    /// The table of the contract: pending → confirmed → shipped → delivered; pending or confirmed → cancelled.
    #[test]
    fn the_steps_there_are() {
        use Status::{Cancelled, Confirmed, Delivered, Pending, Shipped};
        let steps: Vec<_> = Status::ALL
            .into_iter()
            .flat_map(|from| from.allows().iter().map(move |action| (from, action.target())))
            .collect();
        assert_eq!(
            steps,
            [
                (Pending, Confirmed),
                (Pending, Cancelled),
                (Confirmed, Shipped),
                (Confirmed, Cancelled),
                (Shipped, Delivered)
            ]
        );
    }
}
