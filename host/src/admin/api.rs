//! The state that the handlers of the admin API share.

use std::sync::Arc;

use crate::{
    config::Token,
    rollout::swap::{OfferQueue, Swapper},
};

/// Handles the requests of operators. Each file of this layer adds its handlers.
pub(super) struct AdminApi {
    pub(super) token: Option<Token>,
    pub(super) swapper: Arc<Swapper>,
    pub(super) queue: OfferQueue,
}
