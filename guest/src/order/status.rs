//! The state machine of an order: its statuses and the actions that lead from one to the next.

use std::fmt;

use serde::Serialize;

/// The status of an order: pending → confirmed → shipped → delivered; pending or confirmed → cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Created, not processed yet.
    Pending,
    /// Accepted for fulfilment.
    Confirmed,
    /// On its way to the customer.
    Shipped,
    /// Received by the customer. Final.
    Delivered,
    /// Cancelled before shipping. Final.
    Cancelled,
    /// Sent back. Final.
    #[cfg(feature = "next")]
    Returned,
}

impl Status {
    /// All statuses.
    pub const ALL: &[Self] = &[
        Self::Pending,
        Self::Confirmed,
        Self::Shipped,
        Self::Delivered,
        Self::Cancelled,
        #[cfg(feature = "next")]
        Self::Returned,
    ];

    /// The name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            #[cfg(feature = "next")]
            Self::Returned => "returned",
        }
    }

    /// The status with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|status| status.name() == name)
    }

    /// The actions that an order in this status allows. A final status allows none.
    #[must_use]
    pub const fn allowed_actions(self) -> &'static [Action] {
        match self {
            Self::Pending => &[Action::Confirm, Action::Cancel],
            Self::Confirmed => &[Action::Ship, Action::Cancel],
            Self::Shipped => &[Action::Deliver],
            #[cfg(feature = "next")]
            Self::Delivered => &[Action::Return],
            #[cfg(feature = "next")]
            Self::Returned => &[],
            #[cfg(not(feature = "next"))]
            Self::Delivered => &[],
            Self::Cancelled => &[],
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// An action that moves an order to another status. It is the last segment of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Accepts the order.
    Confirm,
    /// Sends the order to the customer.
    Ship,
    /// Records that the customer received the order.
    Deliver,
    /// Cancels the order.
    Cancel,
    /// Records that the customer has sent the order back.
    #[cfg(feature = "next")]
    Return,
}

impl Action {
    /// All actions.
    pub const ALL: &[Self] = &[
        Self::Confirm,
        Self::Ship,
        Self::Deliver,
        Self::Cancel,
        #[cfg(feature = "next")]
        Self::Return,
    ];

    /// The name, as in a path and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Ship => "ship",
            Self::Deliver => "deliver",
            Self::Cancel => "cancel",
            #[cfg(feature = "next")]
            Self::Return => "return",
        }
    }

    /// The action with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.name() == name)
    }

    /// The status that the action leads to.
    #[must_use]
    pub const fn target(self) -> Status {
        match self {
            Self::Confirm => Status::Confirmed,
            Self::Ship => Status::Shipped,
            Self::Deliver => Status::Delivered,
            Self::Cancel => Status::Cancelled,
            #[cfg(feature = "next")]
            Self::Return => Status::Returned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Status};

    #[test]
    fn names_round_trip() {
        for status in Status::ALL.iter().copied() {
            assert_eq!(Status::from_name(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        for action in Action::ALL.iter().copied() {
            assert_eq!(Action::from_name(action.name()), Some(action));
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
        assert_eq!((Status::from_name("Pending"), Action::from_name("Ship")), (None, None));
    }

    /// The contract: pending → confirmed → shipped → delivered; pending or confirmed → cancelled.
    #[test]
    fn the_transitions_are_those_of_the_contract() {
        use Status::{Cancelled, Confirmed, Delivered, Pending, Shipped};
        let transitions: Vec<_> = Status::ALL
            .iter()
            .copied()
            .flat_map(|from| from.allowed_actions().iter().map(move |action| (from, action.target())))
            .collect();
        assert_eq!(
            transitions,
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
