//! The operators' API, on a port of its own: modules are pushed, looked at and taken back here.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/modules` | [`Overview`]: what serves, what is on trial, what is known |
//! | `PUT /v1/modules?canary=10%&window=30s&watch=1m` | the body is a component: 202 and [`Accepted`], or 200 if it serves already |
//! | `GET /v1/modules/{sha256}` | [`View`] |
//! | `POST /v1/rollback` | what is on trial is taken back, or the module before the one that serves serves again |
//! | `GET /v1/events` | server-sent events, each with an [`Event`](crate::rollout::events::Event); `Last-Event-ID` resumes |
//!
//! Errors are `application/problem+json`. Whoever asks has to show the token, if there is one. Connections are few and
//! serve one request each: so nothing that is left unread can be taken for another request.
//!
//! | file | what it does |
//! |---|---|
//! | `response` | the responses: JSON, or a problem |
//! | `desk` | what the API works with |
//! | `door` | who is let in |
//! | `events` | `/v1/events` |
//! | `modules` | `/v1/modules` and `/v1/rollback` |

mod desk;
mod door;
mod events;
mod modules;
mod response;

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

use desk::Desk;
pub use modules::{Accepted, Overview, View};
use response::{Content, Refusal};

use crate::{
    config::Token,
    http::listener::Listener,
    lifecycle::shutdown::Lifecycle,
    rollout::swap::{OfferQueue, Swapper},
};

/// Connections at once.
const MAX_CONNECTIONS: usize = 32;
/// How long the head of a request may take to arrive: some hundred bytes, after which the place is free for another one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection may last. Whoever follows events for longer connects again.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// How long, and for how many bytes, a client that was answered may go on sending: or it would miss the answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 256 << 20;

/// The operators' API.
#[allow(missing_debug_implementations, reason = "linked code has nothing to show")]
pub struct Admin {
    listener: Listener,
    desk: Arc<Desk>,
}

impl Admin {
    /// Hears operators on this socket, who have to show the token if there is one.
    pub fn new(listener: Listener, token: Option<Token>, swapper: Arc<Swapper>, queue: OfferQueue) -> Self {
        Self { listener, desk: Arc::new(Desk { token, swapper, queue }) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// Serves until the service has drained.
    pub async fn run(self, lifecycle: Lifecycle) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let accept = async {
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                let socket = self.listener.accept().await;
                let desk = Arc::clone(&self.desk);
                tokio::spawn(async move {
                    let _ = timeout(LONGEST, serve(socket, desk)).await;
                    drop(place);
                });
            }
        };
        tokio::select! {
            () = accept => {}
            () = lifecycle.stopping() => {}
        }
    }
}

async fn serve(socket: TcpStream, desk: Arc<Desk>) {
    let client = socket.peer_addr().ok();
    let answer = service_fn(|request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(request, client).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), answer);
    match connection.without_shutdown().await {
        Ok(parts) => linger(parts.io.into_inner()).await,
        Err(error) => tracing::debug!(%error, "an operator's connection has failed"),
    }
}

/// Closes in two stages, so that the answer is not lost to a reset when more of the request is on its way.
async fn linger(mut socket: TcpStream) {
    let _ = socket.shutdown().await;
    let unwanted = async { tokio::io::copy(&mut socket.take(LINGER_BYTES), &mut tokio::io::sink()).await };
    let _ = timeout(LINGER, unwanted).await;
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>, client: Option<SocketAddr>) -> Response<Content> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let client = client.map(tracing::field::display);
        let answer = match door::check(&request, self.token.as_ref()) {
            Ok(()) => self.route(request).await,
            Err(refusal) => Err(refusal),
        };
        let answer = answer.unwrap_or_else(|refusal| {
            let Refusal { status, detail, .. } = &refusal;
            tracing::warn!(%method, path, client, status = status.as_u16(), detail, "an operator was refused");
            refusal.into()
        });
        if method != Method::GET && answer.status().is_success() {
            tracing::info!(%method, path, client, status = answer.status().as_u16(), "an operator was heard");
        }
        answer
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Content>, Refusal> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let not_allowed = |allow| Refusal {
            allow: Some(allow),
            ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} is asked for with {allow}."))
        };
        match (path.as_str(), &method) {
            ("/v1/modules", &Method::GET) => self.overview().await,
            ("/v1/modules", &Method::PUT) => self.push(request).await,
            ("/v1/modules", _) => Err(not_allowed("GET, PUT")),
            ("/v1/rollback", &Method::POST) => self.roll_back().await,
            ("/v1/rollback", _) => Err(not_allowed("POST")),
            ("/v1/events", &Method::GET) => self.events(&request),
            ("/v1/events", _) => Err(not_allowed("GET")),
            (path, method) => match path.strip_prefix("/v1/modules/") {
                Some(module) if method == Method::GET => self.module(module).await,
                Some(_) => Err(not_allowed("GET")),
                None => Err(Refusal::new(
                    StatusCode::NOT_FOUND,
                    "There is nothing here; there are /v1/modules, /v1/modules/{sha256}, /v1/rollback and /v1/events.",
                )),
            },
        }
    }
}
