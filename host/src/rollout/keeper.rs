//! Saves what is known about modules in the module folder, so that it outlives the process.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    lifecycle::essential::Essential,
    rollout::{archive::ModuleArchive, history::History, owner::Status, roster::Roster, slot::Slot},
};

/// Saves the history after each change of the rollout's phase, and removes old modules, until the owner has ended. A slow
/// disk delays neither commands nor requests: of several changes meanwhile, only the last is saved.
pub async fn keep_history(
    archive: Arc<ModuleArchive>,
    slot: Arc<Slot>,
    roster: Arc<Roster>,
    mut status: watch::Receiver<Status>,
) {
    let _essential = Essential("the task that saves the history of modules");
    while status.changed().await.is_ok() {
        let Status { module, previous, .. } = *status.borrow_and_update();
        let serving = slot.module();
        let history = History { serving: Some(serving), previous, records: roster.records() };
        archive.save_history(&history).await;
        archive.remove_old(&[Some(serving), previous, module]).await;
    }
}
