//! What can be checked at once: a start that fails here has neither listened nor compiled anything.

use std::{io, net::SocketAddr};

use crate::{
    admin,
    commands::error::CommandError::{self, CouldNotRun},
    config::{ServeConfig, StoreLocation, Token},
    http::{
        limits::Limits,
        listener::{self, Listener, MaxConnections, ReservedAddress},
    },
    module::{hash::ModuleHash, shelf::Shelf, source::Source},
    rollout::{
        archive::ModuleArchive,
        candidate::{self, run_blocking},
        events::Origin,
    },
    store,
};

/// What the checks have opened.
pub(super) struct Checked {
    /// The address for clients.
    pub(super) public: ReservedAddress,
    /// The address of the admin API, and its token.
    pub(super) admin: Option<(ReservedAddress, Option<Token>)>,
    pub(super) initial: InitialModule,
}

/// The module that serves first.
pub(super) struct InitialModule {
    pub(super) module: ModuleHash,
    pub(super) source: Source,
    pub(super) from: Origin,
    pub(super) archive: ModuleArchive,
}

/// Checks the options and everything that they name, cheapest first. The module folder comes last, because it may be created.
///
/// # Errors
///
/// [`CommandError::CouldNotRun`].
pub(super) async fn check(config: &ServeConfig) -> Result<Checked, CommandError> {
    config.limits.check().map_err(CouldNotRun)?;
    Limits::warn_of_memory(&config.limits);
    let location = config.store.location(config.limits.request_timeout.0).map_err(CouldNotRun)?;
    let admin_endpoint = config.admin.endpoint().map_err(CouldNotRun)?;
    listener::raise_open_file_limit(max_connections(config)).map_err(CouldNotRun)?;
    let public = reserve(config.listen, "--listen")?;
    let admin = admin_endpoint
        .map(|(address, token)| Ok::<_, CommandError>((reserve(address, "--admin-listen")?, token)))
        .transpose()?;
    let (named, source) = candidate::read_source(&config.component, &config.trust)
        .await
        .map_err(CommandError::could_not_run)?;
    check_store(location).await?;
    let initial = initial_module(config, named, source).await?;
    Ok(Checked { public, admin, initial })
}

async fn check_store(location: StoreLocation) -> Result<(), CommandError> {
    let checked = run_blocking(async move { store::check(&location) }).await.map_err(CouldNotRun)?;
    checked.map_err(CommandError::could_not_run)
}

/// The module that served when the previous process ended, if it replaced the component that `--component` names; otherwise
/// that component.
async fn initial_module(
    config: &ServeConfig,
    named: ModuleHash,
    source: Source,
) -> Result<InitialModule, CommandError> {
    let folder = &config.module_dir;
    let shelf = folder.module_dir.as_ref().map(|dir| Shelf::open(dir, folder.keep_modules.into()));
    let archive = ModuleArchive::new(shelf.transpose().map_err(CouldNotRun)?, named);
    let Some((module, bytes)) = archive.module_to_restore().await.map_err(CouldNotRun)? else {
        return Ok(InitialModule { module: named, source, from: Origin::Start, archive });
    };
    let source = Source::from_component(bytes, &config.trust).map_err(|error| {
        CouldNotRun(format!("cannot restore the module {module}, which served last: {error}"))
    })?;
    Ok(InitialModule { module, source, from: Origin::Restart, archive })
}

/// The connections that must be possible at the same time.
pub(super) fn max_connections(config: &ServeConfig) -> MaxConnections {
    MaxConnections {
        clients: config.limits.max_connections,
        watched: config.limits.max_concurrent,
        operators: config.admin.admin_listen.0.map_or(0, |_| admin::MAX_CONNECTIONS),
    }
}

fn reserve(address: SocketAddr, option: &str) -> Result<ReservedAddress, CommandError> {
    listener::reserve(address).map_err(|error| cannot_listen(address, option, &error))
}

/// Listens on a reserved address, which `option` has named.
pub(super) fn listen(reserved: ReservedAddress, option: &str) -> Result<Listener, CommandError> {
    let address = reserved.address();
    reserved.listen().map_err(|error| cannot_listen(address, option, &error))
}

fn cannot_listen(address: SocketAddr, option: &str, error: &io::Error) -> CommandError {
    CouldNotRun(format!("cannot listen on {address}: {error}; choose another address with {option}"))
}
