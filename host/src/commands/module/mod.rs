//! `orders-host module push`, `list`, `status` and `rollback`: the client of the admin API.
//!
//! Results go to standard output, one line each; on a terminal, a live line below them shows the progress.
//!
//! | file | what it does |
//! |---|---|
//! | `text` | numbers, times and states as text for people |
//! | `tables` | what `list` and `status` print |
//! | `screen` | the steps of a rollout, and the live line on a terminal |
//! | `event_stream` | reads the event stream of the API |
//! | `client` | requests to the API |
//! | `follow` | waits for the outcome of a rollout |

mod client;
mod event_stream;
mod follow;
mod screen;
mod tables;
mod text;

use std::time::Duration;

use bytes::Bytes;
use tokio::{signal::ctrl_c, time::Instant};

use client::Client;
use follow::{Follower, Outcome};
use screen::{Screen, print};

use crate::{
    admin::{Overview, View},
    commands::error::CommandError,
    config::{HashPrefix, ListConfig, Period, PushConfig, RollbackConfig, StatusConfig, TrustConfig},
    module::{
        hash::ModuleHash,
        source::{Source, file_error, read_component},
    },
};

/// Pushes a component, and waits for the outcome of its rollout.
///
/// # Errors
///
/// [`CommandError`] if the component is not promoted.
pub async fn push(config: &PushConfig) -> Result<(), CommandError> {
    let client = Client::new(&config.client)?;
    let component = read_checked(config)?;
    let (module, file) = (ModuleHash::digest(&component), config.component.display());
    let (overview, _) = client.overview().await?;
    let serving = overview.serving.record.module.short();
    if overview.serving.record.module == module {
        print(&format!("{} already serves: nothing to do", module.short()));
        return Ok(());
    }
    let default = overview.terms.get("watch").and_then(|watch| watch.parse().ok());
    let watched = config.watch.or(default).unwrap_or(Period(Duration::ZERO));
    let mut screen = Screen::new(false);
    screen
        .done("pushing", &format!("{file} ({}) to {}, where {serving} serves", module.short(), client.url()));
    screen.waiting("sending");
    let accepted = client.push(component, config).await?;
    if accepted.serving {
        screen.promoted(None, None);
        return Ok(());
    }
    screen.waiting("sent");
    let follower = Follower { client: &client, screen: &mut screen, module: Some(module), serving: None };
    let following = follower.outcome(accepted.event);
    let outcome = tokio::select! {
        outcome = Box::pin(following) => outcome?,
        _ = ctrl_c() => {
            return Err(CommandError::CouldNotRun(format!(
                "interrupted; the service continues the rollout of {}: `orders-host module status --watch` shows it, \
                 `orders-host module rollback` ends it",
                module.short()
            )));
        }
    };
    if outcome.why.is_none() && !watched.0.is_zero() {
        screen
            .done("watched", &format!("for {watched} from now on: rolled back automatically if it is worse"));
    }
    drop(screen);
    into_result(outcome)
}

/// Reads the component and checks it as far as possible here, so that nothing is uploaded in vain.
fn read_checked(config: &PushConfig) -> Result<Vec<u8>, CommandError> {
    let file = &config.component;
    let bytes = read_component(file).map_err(|error| CommandError::CouldNotRun(error.to_string()))?;
    // Only the service knows which signatures it requires.
    let any = TrustConfig { trust_compiled: false, trusted_keys: None };
    Source::from_component(bytes.clone(), &any)
        .map_err(|error| CommandError::CouldNotRun(file_error(file, &error).to_string()))?;
    Ok(bytes)
}

fn into_result(outcome: Outcome) -> Result<(), CommandError> {
    let Outcome { module, why } = outcome;
    why.map_or(Ok(()), |why| Err(CommandError::Failed(format!("{} {why}", module.short()))))
}

/// Lists all modules.
///
/// # Errors
///
/// [`CommandError`] if the service could not be reached.
pub async fn list(config: &ListConfig) -> Result<(), CommandError> {
    let (overview, json) = Client::new(&config.client)?.overview().await?;
    if config.json {
        print_json(&json);
    } else {
        print(&tables::modules(&overview));
    }
    Ok(())
}

/// Shows the status once, or until a rollout ends.
///
/// # Errors
///
/// [`CommandError`] if there is no such module, the service could not be reached, or the watched module was not promoted.
pub async fn status(config: &StatusConfig) -> Result<(), CommandError> {
    let client = Client::new(&config.client)?;
    let (overview, json) = client.overview().await?;
    let Some(prefix) = &config.module else {
        match config.json {
            true => print_json(&json),
            false => print(&tables::overview(&overview)),
        }
        return if config.watch { watch(&client, &overview, None).await } else { Ok(()) };
    };
    let module = find_module(&overview, prefix)?;
    let Some((view, json)) = client.module(module).await? else {
        return Err(CommandError::Failed(format!("{module} is no longer known")));
    };
    match config.json {
        true => print_json(&json),
        false => print(&tables::module(&view)),
    }
    if config.watch { watch(&client, &overview, Some(&view)).await } else { Ok(()) }
}

/// Shows events from now on, until a rollout ends or the user interrupts the command.
async fn watch(client: &Client, overview: &Overview, view: Option<&View>) -> Result<(), CommandError> {
    if let Some(outcome) = view.and_then(follow::outcome_of_view) {
        return into_result(outcome);
    }
    let mut screen = Screen::new(view.is_none());
    if let Some(View { record, .. }) = &overview.candidate
        && let Some(window) = &record.window
    {
        screen.join_trial(window, record.trial.as_ref(), record.module);
    }
    let serving =
        screen.is_live().then(|| (Instant::now(), overview.serving.done.clone().unwrap_or_default()));
    let module = view.map(|view| view.record.module);
    let following = Follower { client, screen: &mut screen, module, serving }.outcome(overview.event);
    let outcome = tokio::select! {
        outcome = Box::pin(following) => outcome?,
        _ = ctrl_c() => return Ok(()),
    };
    drop(screen);
    into_result(outcome)
}

/// The one module whose hash begins with this prefix.
fn find_module(overview: &Overview, prefix: &HashPrefix) -> Result<ModuleHash, CommandError> {
    let HashPrefix(prefix) = prefix;
    let modules = overview.modules.iter().map(|view| view.record.module);
    let matching: Vec<_> = modules.filter(|module| module.to_string().starts_with(prefix)).collect();
    match matching.as_slice() {
        [module] => Ok(*module),
        [] => Err(CommandError::Failed(format!(
            "no known module has a hash that begins with {prefix}: `orders-host module list` shows the known modules"
        ))),
        several => {
            let several: Vec<_> = several.iter().map(ModuleHash::short).collect();
            Err(CommandError::Failed(format!(
                "{prefix} is ambiguous, it matches {}: give more digits",
                several.join(", ")
            )))
        }
    }
}

/// Rolls back the module on trial, or restores the previous module.
///
/// # Errors
///
/// [`CommandError`] if there is nothing to go back to, or the service could not be asked.
pub async fn rollback(config: &RollbackConfig) -> Result<(), CommandError> {
    let view = Client::new(&config.client)?.roll_back().await?;
    print(&format!("{} serves", view.record.module.short()));
    Ok(())
}

fn print_json(json: &Bytes) {
    print(String::from_utf8_lossy(json).trim_end());
}
