//! A request to move an order from one status to the next.

use super::fields::{Reason, Tracking};
use super::status::Action;

/// A request to apply an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The action.
    pub action: Action,
    /// Where the shipment can be tracked; for [`Action::Ship`] only.
    pub tracking: Option<Tracking>,
    /// Why the order is cancelled; for [`Action::Cancel`] only.
    pub reason: Option<Reason>,
}
