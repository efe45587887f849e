//! The state that the handlers of the admin API share.

use std::sync::Arc;

use super::places::Places;
use crate::{config::Token, rollout::handle::Rollouts};

/// Handles the requests of operators. Each file of this layer adds its handlers.
pub(super) struct AdminApi {
    pub(super) token: Option<Token>,
    pub(super) rollouts: Arc<Rollouts>,
    pub(super) places: Arc<Places>,
}
