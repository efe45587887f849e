//! The admin API, on its own port: operators push, inspect and roll back modules with it.
//!
//! | request | response |
//! |---|---|
//! | `GET /v1/modules` | [`Overview`]: the serving module, the rollout in progress, all known modules |
//! | `PUT /v1/modules?TERMS` | the body is a component: 202 and [`Accepted`]; 200 if it serves already |
//! | `GET /v1/modules/{sha256}` | [`View`] |
//! | `POST /v1/modules/{sha256}/activate?TERMS` | the same as a push, of a module that is kept in the module folder |
//! | `POST /v1/rollback` | ends the rollout in progress, or lets the previous module serve again: 200 and its [`View`] |
//! | `GET /v1/events` | server-sent events, each an [`Event`](crate::rollout::events::Event); `Last-Event-ID` resumes |
//!
//! `TERMS` are terms of the rollout, named like the options, such as `canary=10%&watch=1m`; those that are missing are the
//! service's.
//!
//! Errors are `application/problem+json`. If there is a token, every request must carry it. Connections are few, and each
//! serves one request, so that bytes left unread can never be taken for another request.
//!
//! | file | what it does |
//! |---|---|
//! | `response` | the responses: JSON, or a problem document |
//! | `api` | the state that the handlers share |
//! | `auth` | checks that a request comes from an operator |
//! | `events` | `/v1/events` |
//! | `modules` | `GET` of `/v1/modules` |
//! | `upload` | the body of a push |
//! | `rollouts` | push, activate and roll back |

mod api;
mod auth;
mod events;
mod modules;
mod response;
mod rollouts;
mod upload;

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use http::{Method, Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::{Duration, timeout},
};

use api::AdminApi;
pub use modules::{Control, Overview, Progress, View};
use response::{ApiError, Content};
pub use rollouts::Accepted;

use crate::{
    config::Token,
    http::{limits::MAX_HEAD, listener::Listener},
    lifecycle::shutdown::Lifecycle,
    log::text::{client_text, cut},
    rollout::handle::Rollouts,
};

/// Maximum number of connections.
const MAX_CONNECTIONS: usize = 32;
/// Maximum number of connections that follow events. The others are left for commands.
const MAX_FOLLOWERS: usize = 16;
/// Maximum number of connections that have been served, and whose clients may continue to send.
const MAX_LINGERING: usize = 32;
/// How long the head of a request, some hundred bytes, may take to arrive. After that, the connection is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection may last. A client that follows events for longer must reconnect.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(60 * 60);
/// How long a client that has its response may continue to send. A close would reset the connection, and the client
/// could miss the response.
const LINGER: Duration = Duration::from_secs(2);
/// Maximum number of bytes that it may send in that time.
const LINGER_BYTES: u64 = 256 << 20;

/// Maximum length of the reason in a log line, in bytes. It may quote a term of the client.
const MAX_DETAIL: usize = 1024;

/// The server of the admin API.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct AdminServer {
    listener: Listener,
    api: Arc<AdminApi>,
}

impl AdminServer {
    /// Serves on `listener`. If there is a token, every request must carry it.
    pub fn new(listener: Listener, token: Option<Token>, rollouts: Arc<Rollouts>) -> Self {
        let followers = Arc::new(Semaphore::new(MAX_FOLLOWERS));
        Self { listener, api: Arc::new(AdminApi { token, rollouts, followers }) }
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// Serves until the drain delay of the service has ended.
    pub async fn run(self, lifecycle: Lifecycle) {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let lingering = Arc::new(Semaphore::new(MAX_LINGERING));
        let accept = async {
            while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
                let socket = self.listener.accept().await;
                let (api, lingering) = (Arc::clone(&self.api), Arc::clone(&lingering));
                tokio::spawn(async move {
                    let served = timeout(MAX_CONNECTION_AGE, serve(socket, api)).await;
                    // A client that does not close its connection occupies no place of the next one.
                    drop(permit);
                    if let (Ok(Some(socket)), Ok(_place)) = (served, lingering.try_acquire()) {
                        close(socket).await;
                    }
                });
            }
        };
        tokio::select! {
            () = accept => {}
            () = lifecycle.stopping() => {}
        }
    }
}

/// Serves the one request of a connection. Returns the connection if its response was sent.
async fn serve(socket: TcpStream, api: Arc<AdminApi>) -> Option<TcpStream> {
    let client = socket.peer_addr().ok();
    let handler = service_fn(|request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(api.handle(request, client).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), handler);
    match connection.without_shutdown().await {
        Ok(parts) => Some(parts.io.into_inner()),
        Err(error) => {
            tracing::debug!(event = "admin.connection_failed", %error, "operator connection failed");
            None
        }
    }
}

/// Closes in two stages, so that a reset does not destroy the response while the client still sends its request.
async fn close(mut socket: TcpStream) {
    let _ = socket.shutdown().await;
    let discard = async { tokio::io::copy(&mut socket.take(LINGER_BYTES), &mut tokio::io::sink()).await };
    let _ = timeout(LINGER, discard).await;
}

impl AdminApi {
    async fn handle(&self, request: Request<Incoming>, client: Option<SocketAddr>) -> Response<Content> {
        let method = request.method().clone();
        let path = &*client_text(request.uri().path()).into_owned();
        let client = client.map(tracing::field::display);
        let response = match auth::authenticate(&request, self.token.as_ref()) {
            Ok(()) => self.route(request).await,
            Err(error) => Err(error),
        };
        let response = response.unwrap_or_else(|error| {
            let (status, detail) = (error.status.as_u16(), &*cut(&error.detail, MAX_DETAIL));
            tracing::warn!(
                event = "admin.request_rejected",
                method = &*client_text(method.as_str()),
                path,
                client,
                status,
                detail,
                "operator request rejected"
            );
            error.into()
        });
        if method != Method::GET && response.status().is_success() {
            let status = response.status().as_u16();
            tracing::info!(
                event = "admin.request_accepted",
                method = &*client_text(method.as_str()),
                path,
                client,
                status,
                "operator request accepted"
            );
        }
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Content>, ApiError> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let not_allowed = |allow| {
            let (method, path) = (client_text(method.as_str()), client_text(&path));
            let detail = format!("The method {method} is not supported: {path} supports {allow}.");
            ApiError { allow: Some(allow), ..ApiError::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
        };
        match (path.as_str(), &method) {
            ("/v1/modules", &Method::GET) => self.overview().await,
            ("/v1/modules", &Method::PUT) => self.push(request).await,
            ("/v1/modules", _) => Err(not_allowed("GET, PUT")),
            ("/v1/rollback", &Method::POST) => self.roll_back().await,
            ("/v1/rollback", _) => Err(not_allowed("POST")),
            ("/v1/events", &Method::GET) => self.events(&request),
            ("/v1/events", _) => Err(not_allowed("GET")),
            (path, method) => match module_path(path) {
                Some((module, None)) if method == Method::GET => self.module(module).await,
                Some((_, None)) => Err(not_allowed("GET")),
                Some((module, Some("activate"))) if method == Method::POST => {
                    self.activate(module, request.uri().query().unwrap_or_default()).await
                }
                Some((_, Some("activate"))) => Err(not_allowed("POST")),
                _ => Err(ApiError::new(
                    StatusCode::NOT_FOUND,
                    "This path does not exist: there are /v1/modules, /v1/modules/{sha256}, \
                     /v1/modules/{sha256}/activate, /v1/rollback and /v1/events.",
                )),
            },
        }
    }
}

/// The name of the module in a path below `/v1/modules/`, and what follows it.
fn module_path(path: &str) -> Option<(&str, Option<&str>)> {
    let path = path.strip_prefix("/v1/modules/")?;
    Some(path.split_once('/').map_or((path, None), |(module, action)| (module, Some(action))))
}
