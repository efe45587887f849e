//! `orders-host module push`, `list`, `status` and `rollback`: the operators' API from the other side.
//!
//! Results go to standard output, one line each; on a terminal what goes on is kept up to date below them.
//!
//! | file | what it does |
//! |---|---|
//! | `text` | numbers and sentences for people |
//! | `shown` | the tables that `list` and `status` print |
//! | `screen` | lines that are kept up to date on a terminal |
//! | `events` | reads server-sent events |
//! | `client` | the requests of the operators' API |
//! | `follow` | waits for the outcome of a rollout |

mod client;
mod events;
mod follow;
mod screen;
mod shown;
mod text;

use std::time::Duration;

use bytes::Bytes;
use tokio::{signal::ctrl_c, time::Instant};

use client::Client;
use follow::{Follow, Outcome};
use screen::{Screen, say};

use crate::{
    admin::{Overview, View},
    commands::error::CommandError,
    config::{HashPrefix, ListConfig, Period, PushConfig, RollbackConfig, StatusConfig, TrustConfig},
    module::{
        hash::ModuleHash,
        source::{Source, file_error, read_component},
    },
};

/// Pushes a component, and waits for what becomes of it.
///
/// # Errors
///
/// [`CommandError`] if it does not come to serve.
pub async fn push(config: &PushConfig) -> Result<(), CommandError> {
    let client = Client::new(&config.ask)?;
    let component = read(config)?;
    let (module, file) = (ModuleHash::digest(&component), config.component.display());
    let (overview, _) = client.overview().await?;
    let serving = overview.serving.record.module.short();
    if overview.serving.record.module == module {
        say(&format!("{} serves already: nothing is to be done", module.short()));
        return Ok(());
    }
    let usual = overview.terms.get("watch").and_then(|watch| watch.parse().ok());
    let watched = config.watch.or(usual).unwrap_or(Period(Duration::ZERO));
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
    let follow = Follow { client: &client, screen: &mut screen, module: Some(module), idle: None }
        .outcome(accepted.event);
    let outcome = tokio::select! {
        outcome = Box::pin(follow) => outcome?,
        _ = ctrl_c() => {
            return Err(CommandError::CouldNotRun(format!(
                "{} is left to the service, which goes on with it: `orders-host module status --watch` shows it, \
                 `orders-host module rollback` takes it back",
                module.short()
            )));
        }
    };
    if outcome.why.is_none() && !watched.0.is_zero() {
        screen.done("watched", &format!("for {watched} from now on: it goes back by itself if it is worse"));
    }
    drop(screen);
    decided(outcome)
}

/// Checks what can be checked here, so that nothing is sent in vain.
fn read(config: &PushConfig) -> Result<Vec<u8>, CommandError> {
    let file = &config.component;
    let bytes = read_component(file).map_err(|error| CommandError::CouldNotRun(error.to_string()))?;
    // Who may have signed it is for the service to say.
    let any = TrustConfig { trust_compiled: false, trusted_keys: None };
    Source::from_component(bytes.clone(), &any)
        .map_err(|error| CommandError::CouldNotRun(file_error(file, &error).to_string()))?;
    Ok(bytes)
}

fn decided(outcome: Outcome) -> Result<(), CommandError> {
    let Outcome { module, why } = outcome;
    why.map_or(Ok(()), |why| Err(CommandError::Failed(format!("{} {why}", module.short()))))
}

/// Shows all modules.
///
/// # Errors
///
/// [`CommandError`] if the service could not be asked.
pub async fn list(config: &ListConfig) -> Result<(), CommandError> {
    let (overview, json) = Client::new(&config.ask)?.overview().await?;
    if config.json {
        say_json(&json);
    } else {
        say(&shown::table(&overview));
    }
    Ok(())
}

/// Shows how things stand, or keeps it up to date.
///
/// # Errors
///
/// [`CommandError`] if there is no such module, the service could not be asked, or what was watched has not come to serve.
pub async fn status(config: &StatusConfig) -> Result<(), CommandError> {
    let client = Client::new(&config.ask)?;
    let (overview, json) = client.overview().await?;
    let Some(prefix) = &config.module else {
        match config.json {
            true => say_json(&json),
            false => say(&shown::overview(&overview)),
        }
        return if config.watch { watch(&client, &overview, None).await } else { Ok(()) };
    };
    let module = named(&overview, prefix)?;
    let Some((view, json)) = client.module(module).await? else {
        return Err(CommandError::Failed(format!("{module} is not known any more")));
    };
    match config.json {
        true => say_json(&json),
        false => say(&shown::page(&view)),
    }
    if config.watch { watch(&client, &overview, Some(&view)).await } else { Ok(()) }
}

/// Shows what happens from here on, until something is decided or the operator has seen enough.
async fn watch(client: &Client, overview: &Overview, view: Option<&View>) -> Result<(), CommandError> {
    if let Some(outcome) = view.and_then(follow::outcome) {
        return decided(outcome);
    }
    let mut screen = Screen::new(view.is_none());
    if let Some(View { record, .. }) = &overview.candidate
        && let Some(window) = &record.window
    {
        screen.joined(window, record.trial.as_ref(), record.module);
    }
    let idle = screen.is_live().then(|| (Instant::now(), overview.serving.done.clone().unwrap_or_default()));
    let module = view.map(|view| view.record.module);
    let follow = Follow { client, screen: &mut screen, module, idle }.outcome(overview.event);
    let outcome = tokio::select! {
        outcome = Box::pin(follow) => outcome?,
        _ = ctrl_c() => return Ok(()),
    };
    drop(screen);
    decided(outcome)
}

/// The module whose hash begins so.
fn named(overview: &Overview, prefix: &HashPrefix) -> Result<ModuleHash, CommandError> {
    let HashPrefix(prefix) = prefix;
    let modules = overview.modules.iter().map(|view| view.record.module);
    let matching: Vec<_> = modules.filter(|module| module.to_string().starts_with(prefix)).collect();
    match matching.as_slice() {
        [module] => Ok(*module),
        [] => Err(CommandError::Failed(format!(
            "no module is known whose hash begins with {prefix}: `orders-host module list` shows those that are"
        ))),
        several => {
            let several: Vec<_> = several.iter().map(ModuleHash::short).collect();
            Err(CommandError::Failed(format!(
                "{prefix} may be any of {}: give more digits",
                several.join(", ")
            )))
        }
    }
}

/// Takes back what is on trial, or goes back to the module before.
///
/// # Errors
///
/// [`CommandError`] if there is nothing to go back to, or the service could not be asked.
pub async fn rollback(config: &RollbackConfig) -> Result<(), CommandError> {
    let view = Client::new(&config.ask)?.roll_back().await?;
    say(&format!("{} serves", view.record.module.short()));
    Ok(())
}

fn say_json(json: &Bytes) {
    say(String::from_utf8_lossy(json).trim_end());
}
