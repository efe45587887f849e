//! Reads the component again after a SIGHUP, and offers it for a rollout.

use std::{convert::Infallible, time::Instant};

use crate::{
    config::TermsConfig,
    lifecycle::shutdown::Hangup,
    module::hash::ModuleHash,
    rollout::{
        candidate::{elapsed_ms, read_source},
        environment::HostEnvironment,
        events::Origin,
        offer::{Offer, OfferPermit, OfferQueue},
        roster::State,
    },
};

/// Offers the component after each SIGHUP, once no other module is rolled out. Any number of SIGHUPs until then lead to one
/// reload.
pub async fn reload_on_hangup(
    environment: &HostEnvironment,
    terms: &TermsConfig,
    queue: &OfferQueue,
    hangup: &mut Hangup,
) -> Infallible {
    loop {
        hangup.next().await;
        let (permit, is_deferred) = match queue.try_acquire() {
            Some(permit) => (permit, false),
            None => {
                tracing::info!(
                    event = "rollout.reload_deferred",
                    "another module is rolled out: the component is read again afterwards"
                );
                // It is closed only when the process ends.
                let Some(permit) = queue.acquire().await else { return std::future::pending().await };
                (permit, true)
            }
        };
        if let Some(offer) = reload(environment, terms, permit).await {
            // The file may hold the module that was rolled out meanwhile, and was rolled back.
            if is_deferred && is_rejected(environment, offer.module) {
                tracing::info!(
                    event = "rollout.reload_dropped", module = %offer.module,
                    "the component was refused or rolled back since the signal; send it again to roll it out"
                );
            } else {
                queue.offer(offer);
            }
        }
    }
}

fn is_rejected(environment: &HostEnvironment, module: ModuleHash) -> bool {
    let record = environment.comparator.roster.get(module);
    record.is_some_and(|record| matches!(record.state, State::Refused | State::RolledBack))
}

/// Reads the component again from its file. `None` if it is unchanged, or cannot be served.
async fn reload(environment: &HostEnvironment, terms: &TermsConfig, permit: OfferPermit) -> Option<Offer> {
    let began = Instant::now();
    let serving = environment.comparator.slot.module();
    let component = environment.component.display();
    tracing::info!(event = "rollout.reload_started", %component, %serving, "reading the component again");
    match read_source(&environment.component, &environment.trust).await {
        Ok((module, _)) if module == serving => {
            tracing::info!(event = "rollout.reload_unchanged", %serving, "the component already serves");
            environment.archive.update_named_component(module).await;
            None
        }
        Ok((module, source)) => Some(Offer {
            module,
            source,
            from: Origin::Reload,
            by: None,
            terms: terms.clone(),
            began,
            permit,
        }),
        Err(why) => {
            tracing::error!(
                event = "rollout.refused",
                %serving,
                %why,
                duration_ms = elapsed_ms(began),
                "component refused; the serving module is unchanged"
            );
            None
        }
    }
}
