//! The admin API, on its own socket or port: operators push, inspect and roll back modules with it.
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
//! Errors are `application/problem+json`. If there are tokens, every request must carry one. A connection serves one request, so
//! that bytes left unread can never be taken for another request. Accepting never waits: a newcomer has a second until the head
//! of its request has arrived and was authenticated, the oldest newcomer goes when there are too many, and only an
//! authenticated request takes one of the few places.
//!
//! | file | what it does |
//! |---|---|
//! | `unix` | the path of a Unix socket |
//! | `endpoint` | the Unix socket or the TCP address that operators connect to |
//! | `response` | the responses: JSON, or a problem document |
//! | `newcomers` | connections without an authenticated request |
//! | `places` | the places of authenticated requests |
//! | `stage` | what a connection is doing, and until when |
//! | `socket` | notes when a client reads nothing |
//! | `connection` | one connection, from its first byte to its close |
//! | `auth` | which operator sends a request, and what that operator may do |
//! | `api` | the state that the handlers share |
//! | `events` | `/v1/events` |
//! | `modules` | `GET` of `/v1/modules` |
//! | `upload` | the body of a push |
//! | `rollouts` | push, activate and roll back |

mod api;
mod auth;
mod connection;
mod endpoint;
mod events;
mod modules;
mod newcomers;
mod places;
mod response;
mod rollouts;
mod socket;
mod stage;
mod unix;
mod upload;

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use api::AdminApi;
use auth::{Operator, Operators};
use connection::Connection;
use endpoint::Client;
pub use endpoint::{Endpoint, ReservedEndpoint, reserve};
pub use modules::{Control, Overview, Progress, View};
use newcomers::Newcomers;
use places::{Places, Purpose};
use response::{ApiError, Content};
pub use rollouts::Accepted;
use stage::Stage;
pub use unix::{SocketFile, check_private, is_answered};

use crate::{
    config::Tokens,
    http::{
        limits::{LimitError, Limits},
        rejection::limit_response,
    },
    lifecycle::{essential::Essential, shutdown::Lifecycle},
    log::text::{client_text, cut},
    rollout::handle::Rollouts,
};

/// Connections that were pushed out and are about to close: as many as the runtime accepts before it runs other tasks.
const MAX_CLOSING: usize = 128;
/// Maximum number of open connections: newcomers, requests of operators, and those that are being closed. Each needs a file.
pub const MAX_CONNECTIONS: usize =
    newcomers::MAX_NEWCOMERS + places::MAX_PLACES + connection::MAX_LINGERING + MAX_CLOSING;

/// Maximum length of the reason in a log line, in bytes. It may quote a term of the client.
const MAX_DETAIL: usize = 1024;

/// The server of the admin API.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct AdminServer {
    endpoint: Endpoint,
    api: Arc<AdminApi>,
}

impl AdminServer {
    /// Serves on `endpoint`. If there are tokens, every request must carry one of them.
    pub fn new(endpoint: Endpoint, tokens: Option<&Tokens>, rollouts: Arc<Rollouts>) -> Self {
        let (operators, places) = (Operators::new(tokens), Arc::new(Places::default()));
        Self { endpoint, api: Arc::new(AdminApi { operators, rollouts, places }) }
    }

    /// The address on which it listens, or `unix:` and the path of its socket.
    pub fn address(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Serves until the drain delay of the service has ended.
    pub async fn run(self, lifecycle: Lifecycle) {
        let _essential = Essential("the operators' listener");
        let newcomers = Arc::new(Newcomers::default());
        let lingering = Arc::new(Semaphore::new(connection::MAX_LINGERING));
        let accept = async {
            loop {
                let (socket, client) = self.endpoint.accept().await;
                let (newcomer, pushed_out) = newcomers.let_in();
                let stage = Arc::new(Stage::new(client, newcomer));
                let (api, lingering) = (Arc::clone(&self.api), Arc::clone(&lingering));
                tokio::spawn(async move {
                    let handle = |request| {
                        let (api, stage) = (Arc::clone(&api), Arc::clone(&stage));
                        async move { api.handle(request, &stage).await }
                    };
                    let connection = Connection { socket, stage: Arc::clone(&stage), pushed_out };
                    connection.serve(handle, &lingering).await;
                });
            }
        };
        tokio::select! {
            () = accept => {}
            () = lifecycle.stopping() => {}
        }
    }
}

impl AdminApi {
    async fn handle(&self, request: Request<Incoming>, stage: &Stage) -> Response<Content> {
        let method = request.method().clone();
        let path = &*client_text(request.uri().path()).into_owned();
        let client = stage.client.map(tracing::field::display);
        let operator = self.authenticate(&request, stage.client);
        let name = operator.as_ref().ok().map(|operator| Arc::clone(&operator.name));
        let operator_name = name.as_deref();
        let response = match operator.and_then(|operator| self.admit(operator, &request, stage)) {
            Ok(operator) => self.route(request, &operator, stage.client).await,
            Err(error) => Err(error),
        };
        let response = response.unwrap_or_else(|error| {
            let (status, detail) = (error.status.as_u16(), &*cut(&error.detail, MAX_DETAIL));
            tracing::warn!(
                event = "admin.request_rejected",
                method = &*client_text(method.as_str()),
                path,
                operator = operator_name,
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
                operator = operator_name,
                client,
                status,
                "operator request accepted"
            );
        }
        stage.start_response(response.body().size_hint().exact());
        response
    }

    /// Finds out which operator sends a request.
    fn authenticate(
        &self,
        request: &Request<Incoming>,
        client: Option<Client>,
    ) -> Result<Operator, ApiError> {
        if Limits::check_head(request.method(), request.uri(), request.headers()).is_err() {
            let (status, detail) = limit_response(LimitError::HeadTooLarge);
            return Err(ApiError::new(status, detail));
        }
        self.operators.authenticate(request, client)
    }

    /// Gives a request a place, if its operator may do what it is for.
    fn admit(
        &self,
        operator: Operator,
        request: &Request<Incoming>,
        stage: &Stage,
    ) -> Result<Operator, ApiError> {
        operator.check(request.method())?;
        let purpose = Purpose::of(request.method(), request.uri().path());
        stage.start_handling(self.places.take(purpose)?);
        Ok(operator)
    }

    async fn route(
        &self,
        request: Request<Incoming>,
        operator: &Operator,
        client: Option<Client>,
    ) -> Result<Response<Content>, ApiError> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let not_allowed = |allow| {
            let (method, path) = (client_text(method.as_str()), client_text(&path));
            let detail = format!("The method {method} is not supported: {path} supports {allow}.");
            ApiError { allow: Some(allow), ..ApiError::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
        };
        match (path.as_str(), &method) {
            ("/v1/modules", &Method::GET) => self.overview().await,
            ("/v1/modules", &Method::PUT) => self.push(request, operator, client).await,
            ("/v1/modules", _) => Err(not_allowed("GET, PUT")),
            ("/v1/rollback", &Method::POST) => self.roll_back(operator).await,
            ("/v1/rollback", _) => Err(not_allowed("POST")),
            ("/v1/events", &Method::GET) => self.events(&request),
            ("/v1/events", _) => Err(not_allowed("GET")),
            (path, method) => match module_path(path) {
                Some((module, None)) if method == Method::GET => self.module(module).await,
                Some((_, None)) => Err(not_allowed("GET")),
                Some((module, Some("activate"))) if method == Method::POST => {
                    self.activate(module, request.uri().query().unwrap_or_default(), operator).await
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
