//! The state that the handlers of the admin API share.

use std::sync::Arc;

use super::{auth::Operators, places::Places};
use crate::rollout::handle::Rollouts;

/// Handles the requests of operators. Each file of this layer adds its handlers.
pub(super) struct AdminApi {
    pub(super) operators: Operators,
    pub(super) rollouts: Arc<Rollouts>,
    pub(super) places: Arc<Places>,
}
