//! What the operators' API knows.

use std::sync::Arc;

use crate::{
    config::Token,
    rollout::swap::{OfferQueue, Swapper},
};

/// What answers operators.
pub(super) struct Desk {
    pub(super) token: Option<Token>,
    pub(super) swapper: Arc<Swapper>,
    pub(super) queue: OfferQueue,
}
