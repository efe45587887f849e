//! What can be checked at once: a start that fails here has neither listened nor compiled anything.

use std::{io, net::SocketAddr};

use crate::{
    admin::{self, ReservedEndpoint},
    commands::error::CommandError::{self, CouldNotRun},
    config::{ServeConfig, StoreLocation, Tokens},
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
    /// The endpoint of the admin API, if there is one.
    pub(super) admin: Option<ReservedEndpoint>,
    /// The tokens of operators.
    pub(super) tokens: Option<Tokens>,
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
    let (location, tokens) = read_files(config).await?;
    listener::raise_open_file_limit(max_connections(config)).map_err(CouldNotRun)?;
    let unavailable = |error| cannot_listen(config.listen, &error);
    let public = listener::reserve(config.listen).map_err(unavailable)?;
    let admin = admin::reserve(&config.admin, public.port().map_err(unavailable)?).map_err(CouldNotRun)?;
    let (named, source) = candidate::read_source(&config.component, &config.trust)
        .await
        .map_err(CommandError::could_not_run)?;
    check_store(location).await?;
    let initial = initial_module(config, named, source).await?;
    Ok(Checked { public, admin, tokens, initial })
}

/// Reads the files that options name, on a thread of its own: where one cannot be opened for a while, such as a pipe or one on a
/// network, a signal must still end the start.
async fn read_files(config: &ServeConfig) -> Result<(StoreLocation, Option<Tokens>), CommandError> {
    let (store, admin) = (config.store.clone(), config.admin.clone());
    let request_timeout = config.limits.request_timeout.0;
    let read = async move { Ok((store.location(request_timeout)?, admin.tokens()?)) };
    run_blocking(read).await.flatten().map_err(CouldNotRun)
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
    let folder = config.module_dir.clone();
    let open =
        async move { folder.module_dir.map(|dir| Shelf::open(&dir, folder.keep_modules.into())).transpose() };
    let shelf = run_blocking(open).await.flatten().map_err(CouldNotRun)?;
    let archive = ModuleArchive::new(shelf, named);
    let Some((module, bytes)) = archive.module_to_restore().await.map_err(CouldNotRun)? else {
        return Ok(InitialModule { module: named, source, from: Origin::Start, archive });
    };
    let trust = config.trust.clone();
    let source =
        run_blocking(async move { Source::from_component(bytes, &trust) }).await.map_err(CouldNotRun)?;
    let source = source.map_err(|error| {
        CouldNotRun(format!("cannot restore the module {module}, which served last: {error}"))
    })?;
    Ok(InitialModule { module, source, from: Origin::Restart, archive })
}

/// The connections that must be possible at the same time.
pub(super) fn max_connections(config: &ServeConfig) -> MaxConnections {
    MaxConnections {
        clients: config.limits.max_connections,
        watched: config.limits.max_concurrent,
        operators: if config.admin.is_on() { admin::MAX_CONNECTIONS } else { 0 },
    }
}

/// Lets clients connect to the address of `--listen`.
pub(super) fn listen(reserved: ReservedAddress) -> Result<Listener, CommandError> {
    let address = reserved.address();
    reserved.listen().map_err(|error| cannot_listen(address, &error))
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> CommandError {
    CouldNotRun(format!("cannot listen on {address}: {error}; choose another address with --listen"))
}
