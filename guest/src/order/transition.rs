//! Moving an order from one status to the next.

use super::event::{Event, EventKind};
use super::fields::{Reason, Tracking};
use super::model::Order;
use super::status::{Action, Status};
use super::timestamp::Timestamp;

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

/// The status of the order does not allow the action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransitionNotAllowed {
    /// The present status of the order.
    pub status: Status,
}

impl Order {
    /// Returns the order after a transition, with the event to record; `None` if the order has the target status already.
    ///
    /// # Errors
    /// [`TransitionNotAllowed`] if the present status does not allow the action.
    pub fn apply_transition(
        &self,
        transition: &Transition,
        now: Timestamp,
    ) -> Result<Option<(Self, Event)>, TransitionNotAllowed> {
        let target = transition.action.target();
        if self.status == target {
            return Ok(None);
        }
        if !self.status.allowed_actions().contains(&transition.action) {
            return Err(TransitionNotAllowed { status: self.status });
        }
        let mut order = self.clone();
        order.status = target;
        order.record_change(now);
        let event = Event {
            tracking: transition.tracking.clone(),
            reason: transition.reason.clone(),
            ..order.latest_event(EventKind::for_action(transition.action))
        };
        Ok(Some((order, event)))
    }
}
