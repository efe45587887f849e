//! `orders-host module push`, `activate`, `list`, `status` and `rollback`: the client of the admin API.
//!
//! Results go to standard output, one line each; on a terminal, a live line below them shows the progress. Warnings go to
//! standard error.
//!
//! | file | what it does |
//! |---|---|
//! | `text` | numbers, times and states as text for people |
//! | `tables` | what `list` and `status` print |
//! | `prefix` | finds a module by the first digits of its hash |
//! | `live` | the progress of a trial or a watch |
//! | `screen` | the steps of a rollout, and the live line on a terminal |
//! | `event_stream` | reads the event stream of the API |
//! | `connect` | connections to the API, and the search for the socket of the only service |
//! | `client` | requests to the API |
//! | `follow` | waits for the outcome of a rollout |

mod client;
mod connect;
mod event_stream;
mod follow;
mod live;
mod prefix;
mod screen;
mod tables;
mod text;

use bytes::Bytes;
use tokio::{
    signal::ctrl_c,
    time::{Duration, Instant},
};

use client::Client;
use follow::{End, Follower, Outcome};
use prefix::find_module;
use screen::{Screen, warn};

use crate::{
    admin::{Accepted, Overview},
    commands::{error::CommandError, output::print},
    config::{ActivateConfig, ListConfig, PushConfig, RollbackConfig, StatusConfig, TrustConfig, Until},
    module::{
        hash::ModuleHash,
        source::{Source, file_error, read_component},
    },
    rollout::machine::Phase,
};

/// Pushes a component, and waits for the outcome of its rollout.
///
/// # Errors
///
/// [`CommandError`] if the component does not serve afterwards.
pub async fn push(config: &PushConfig) -> Result<(), CommandError> {
    let client = Client::new(&config.client)?;
    let component = read_checked(config)?;
    let (module, file) = (ModuleHash::digest(&component), config.component.display());
    let (overview, _) = client.overview().await?;
    let serving = overview.serving.record.module;
    if serving == module {
        return already_serves(&client, &overview, config.rollout.until).await;
    }
    let screen = Screen::new(false, serving);
    let (target, serving) = (client.target(), serving.short());
    screen.done("pushing", &format!("{file} ({}) to {target}, where {serving} serves", module.short()));
    screen.waiting("sending");
    let accepted = client.push(component, &config.rollout).await?;
    follow_accepted(&client, screen, &overview, &accepted, config.rollout.until).await
}

/// Rolls out a module that the service has kept, and waits for the outcome.
///
/// # Errors
///
/// [`CommandError`] if the module does not serve afterwards.
pub async fn activate(config: &ActivateConfig) -> Result<(), CommandError> {
    let client = Client::new(&config.client)?;
    let (overview, _) = client.overview().await?;
    let (serving, module) = (overview.serving.record.module, find_module(&overview, &config.module)?);
    if serving == module {
        return already_serves(&client, &overview, config.rollout.until).await;
    }
    let screen = Screen::new(false, serving);
    let (target, serving) = (client.target(), serving.short());
    screen.done("activating", &format!("{} on {target}, where {serving} serves", module.short()));
    let accepted = client.activate(module, &config.rollout).await?;
    follow_accepted(&client, screen, &overview, &accepted, config.rollout.until).await
}

/// There is nothing to roll out. The rollout that is in progress may still be that of this module.
async fn already_serves(client: &Client, overview: &Overview, until: Until) -> Result<(), CommandError> {
    let module = overview.serving.record.module;
    match follow::outcome_of_overview(overview, module, until) {
        Some(outcome) => {
            let rest = watched_for(overview).unwrap_or_else(|| ": nothing to do".to_owned());
            print(format_args!("{} already serves{rest}", module.short()))?;
            into_result(outcome)
        }
        None => {
            let rest = watched_for(overview).unwrap_or_default();
            print(format_args!("{} already serves{rest}", module.short()))?;
            watch(client, overview, Some(module), Err(interrupted(module))).await
        }
    }
}

/// For how long the serving module is still watched, as the end of a line; none if it is not.
fn watched_for(overview: &Overview) -> Option<String> {
    let rollout = overview.rollout.as_ref().filter(|rollout| rollout.phase == Phase::Watched)?;
    let left = rollout.seconds_left.map(|left| format!(" for another {}", text::seconds(left)));
    Some(format!(", and is watched{}", left.unwrap_or_default()))
}

/// Follows the rollout of a module that the service has accepted.
async fn follow_accepted(
    client: &Client,
    mut screen: Screen,
    overview: &Overview,
    accepted: &Accepted,
    until: Until,
) -> Result<(), CommandError> {
    let Accepted { module, serving, event } = *accepted;
    if serving {
        screen.done("serving", "already: nothing to do");
        return screen.written();
    }
    if overview.smoke_requests == Some(0) {
        screen.warn(
            "the service has no smoke requests: a component that answers every request wrongly may be promoted; add \
             --smoke to the service",
        );
    }
    screen.waiting("sent");
    let follower = Follower { client, screen: &mut screen, module: Some(module), until, serving: None };
    until_outcome(follower, event, Err(interrupted(module))).await?;
    screen.written()
}

fn interrupted(module: ModuleHash) -> CommandError {
    CommandError::CouldNotRun(format!(
        "interrupted; the service continues the rollout of {}: `orders-host module status --watch` shows it, \
         `orders-host module rollback` ends it",
        module.short()
    ))
}

/// Waits for the outcome; `interrupted` is the result if the user does not.
async fn until_outcome(
    follower: Follower<'_>,
    after: u64,
    interrupted: Result<(), CommandError>,
) -> Result<(), CommandError> {
    tokio::select! {
        outcome = Box::pin(follower.outcome(after)) => into_result(outcome?),
        _ = ctrl_c() => interrupted,
    }
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
    let Outcome { module, end } = outcome;
    match end {
        End::Serves { unproven: None } => Ok(()),
        End::Serves { unproven: Some(why) } => {
            let why = text::printable(&why);
            warn(&format!("{} serves, but is unproven: {why}", module.short()));
            Ok(())
        }
        End::Gone(why) => Err(CommandError::Failed(format!("{} {why}", module.short()))),
    }
}

/// Lists all modules.
///
/// # Errors
///
/// [`CommandError`] if the service could not be reached.
pub async fn list(config: &ListConfig) -> Result<(), CommandError> {
    let (overview, json) = Client::new(&config.client)?.overview().await?;
    if config.json { print_json(&json) } else { print(tables::modules(&overview)) }
}

/// Shows the status once, or until the rollout in progress is over.
///
/// # Errors
///
/// [`CommandError`] if there is no such module, the service could not be reached, or the watched module does not serve.
pub async fn status(config: &StatusConfig) -> Result<(), CommandError> {
    let client = Client::new(&config.client)?;
    let (overview, json) = client.overview().await?;
    let Some(prefix) = &config.module else {
        match config.json {
            true => print_json(&json)?,
            false => print(tables::overview(&overview))?,
        }
        return match (config.watch, &overview.rollout) {
            (false, _) => Ok(()),
            (true, Some(_)) => watch(&client, &overview, None, Ok(())).await,
            (true, None) => print("no rollout is in progress"),
        };
    };
    let module = find_module(&overview, prefix)?;
    let Some((view, json)) = client.module(module).await? else {
        return Err(CommandError::Failed(format!("{module} is no longer known")));
    };
    match config.json {
        true => print_json(&json)?,
        false => print(tables::module(&view))?,
    }
    if !config.watch {
        return Ok(());
    }
    match follow::outcome_of_overview(&overview, module, Until::Settled) {
        Some(outcome) => into_result(outcome),
        None => watch(&client, &overview, Some(module), Ok(())).await,
    }
}

/// Shows events from now on, until the rollout of this module, or the one in progress, is over. `interrupted` is the result if the user
/// interrupts the command.
async fn watch(
    client: &Client,
    overview: &Overview,
    module: Option<ModuleHash>,
    interrupted: Result<(), CommandError>,
) -> Result<(), CommandError> {
    let mut screen = Screen::new(module.is_none(), overview.serving.record.module);
    if let Some(candidate) = &overview.candidate {
        screen.join_trial(&candidate.record);
    } else if let Some(rollout) = &overview.rollout
        && let (Phase::Watched, Some(left)) = (rollout.phase, rollout.seconds_left)
    {
        screen.join_watch(Duration::from_secs(left));
    }
    let serving =
        screen.is_live().then(|| (Instant::now(), overview.serving.done.clone().unwrap_or_default()));
    let follower = Follower { client, screen: &mut screen, module, until: Until::Settled, serving };
    until_outcome(follower, overview.event, interrupted).await?;
    screen.written()
}

/// Ends the rollout in progress, or restores the previous module.
///
/// # Errors
///
/// [`CommandError`] if there is nothing to go back to, or the service could not be asked.
pub async fn rollback(config: &RollbackConfig) -> Result<(), CommandError> {
    let view = Client::new(&config.client)?.roll_back().await?;
    print(format_args!("{} serves again", view.record.module.short()))
}

fn print_json(json: &Bytes) -> Result<(), CommandError> {
    print(String::from_utf8_lossy(json).trim_end())
}
