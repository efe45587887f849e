//! What the operators' API knows.

use std::sync::Arc;

use crate::{
    config::Token,
    rollout::swap::{Counter, Swapper},
};

/// What answers operators.
pub(super) struct Desk {
    pub(super) token: Option<Token>,
    pub(super) swapper: Arc<Swapper>,
    pub(super) counter: Counter,
}
