//! Requests from a component to other servers: only those that the operator allows.
//!
//! Each request uses its own connection, with HTTP/1.1 and without TLS. The connection belongs to the instance and
//! ends with the call that opened it: when the deadline drops the instance, it drops the connection too.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    Request, Response, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpStream, lookup_host},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, Sleep, sleep, timeout},
};
use wasmtime_wasi::runtime;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, p2::bindings::http::types::ErrorCode};

use crate::{
    config::{HTTP_PORT, OutboundServer},
    log::text::client_text,
};

/// Maximum number of connections of all instances together. Further requests wait, and the deadlines of their calls
/// still apply.
const MAX_CONNECTIONS: usize = 256;
/// Maximum number of connections of one instance, so that no request uses all of them.
const MAX_CONNECTIONS_PER_INSTANCE: usize = 8;
/// Maximum number of bytes buffered in each direction of a connection; the head of a response must fit.
const MAX_BUFFER: usize = 64 * 1024;

/// A response, and the future that keeps its connection going.
pub type OutboundResponse = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

/// The servers to which components may send requests.
#[derive(Debug)]
pub struct Outbound {
    servers: Vec<OutboundServer>,
    connections: Arc<Semaphore>,
}

impl Outbound {
    /// Allows requests to these servers; `None` if there are none.
    pub fn allowing(servers: &[OutboundServer]) -> Option<Arc<Self>> {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        (!servers.is_empty()).then(|| Arc::new(Self { servers: servers.to_vec(), connections }))
    }
}

/// Sends the requests of one instance.
#[derive(Debug)]
pub struct Sender {
    allowed: Option<Arc<Outbound>>,
    /// Created with the first request: most instances send none.
    own_connections: Option<Arc<Semaphore>>,
    /// Whether a rejection has been logged since the call began.
    logged: bool,
}

impl Sender {
    /// Creates a sender for the allowed servers; without them, it rejects every request.
    pub fn new(allowed: Option<Arc<Outbound>>) -> Self {
        Self { allowed, own_connections: None, logged: false }
    }

    /// Starts a call.
    pub fn begin_call(&mut self) {
        self.logged = false;
    }

    /// Sends a request of the call `request_id`, once a connection is permitted.
    ///
    /// # Errors
    ///
    /// The future returns [`Error::HttpRequestDenied`] if the server is not allowed, and for any other failure the
    /// error that `wasi:http` defines for it.
    pub fn send(
        &mut self,
        request: Request<WasiBody>,
        options: RequestOptions,
        request_id: &str,
    ) -> Box<dyn Future<Output = Result<OutboundResponse, Error>> + Send> {
        let Some((server, allowed)) = self.check(request.uri()) else {
            self.log_rejected(&request, request_id, "--allow-outbound does not name the server");
            return Box::new(async { Err(Error::HttpRequestDenied) });
        };
        if request.uri().scheme() != Some(&Scheme::HTTP) {
            const ONLY_HTTP: &str = "outbound requests are supported over http only, not over https";
            self.log_rejected(&request, request_id, ONLY_HTTP);
            return Box::new(async { Err(Error::InternalError(Some(ONLY_HTTP.to_owned()))) });
        }
        let own = self
            .own_connections
            .get_or_insert_with(|| Arc::new(Semaphore::new(MAX_CONNECTIONS_PER_INSTANCE)));
        let (own, shared) = (Arc::clone(own), Arc::clone(&allowed.connections));
        Box::new(async move {
            let permits = [acquire(own).await?, acquire(shared).await?];
            exchange(request, server, options, permits).await
        })
    }

    /// Returns the server of the request if it is allowed.
    fn check(&self, uri: &Uri) -> Option<((String, u16), Arc<Outbound>)> {
        let (allowed, authority) = (self.allowed.as_ref()?, uri.authority()?);
        // A user name and a password before the host would only disguise it (RFC 9110, section 4.2.4).
        if authority.as_str().contains('@') {
            return None;
        }
        let port = authority.port_u16().unwrap_or(HTTP_PORT);
        let host = authority.host();
        let server = (host.trim_matches(['[', ']']).to_owned(), port);
        allowed
            .servers
            .iter()
            .any(|allowed| allowed.matches(host, port))
            .then(|| (server, Arc::clone(allowed)))
    }

    fn log_rejected(&mut self, request: &Request<WasiBody>, request_id: &str, why: &str) {
        if std::mem::replace(&mut self.logged, true) {
            return;
        }
        // A component may name anything, also what a client sent.
        let authority = client_text(request.uri().authority().map_or("", Authority::as_str));
        tracing::warn!(
            event = "outbound.request_rejected",
            request_id,
            authority = &*authority,
            why,
            "outbound request rejected"
        );
    }
}

async fn acquire(connections: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    // The semaphore is never closed.
    connections.acquire_owned().await.map_err(|_| Error::ConnectionLimitReached)
}

async fn exchange(
    mut request: Request<WasiBody>,
    (host, port): (String, u16),
    options: RequestOptions,
    permits: [OwnedSemaphorePermit; 2],
) -> Result<OutboundResponse, Error> {
    let connect = async {
        let unresolved = |_| Error::DnsError { rcode: None, info_code: None };
        let addresses: Vec<_> = lookup_host((host, port)).await.map_err(unresolved)?.collect();
        let socket = TcpStream::connect(&*addresses).await.map_err(Error::Connect)?;
        socket.set_nodelay(true).map_err(Error::Connect)?;
        Ok(socket)
    };
    let socket = within(options.connect_timeout, Error::ConnectionTimeout, connect).await?;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(socket)).await?;
    // Dropping the handle ends the connection and releases its permits.
    let connection = runtime::spawn(async move {
        let _permits = permits;
        // The response reports how the connection ends.
        let _ = connection.await;
    });

    // The origin server receives only the path (RFC 9112, section 3.2.1).
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    let response = async { sender.send_request(request).await.map_err(Error::from) };
    let response = within(options.first_byte_timeout, Error::ConnectionReadTimeout, response).await?;
    let idle_timeout = options.between_bytes_timeout;
    let response = response.map(|body| TimedBody { body, idle_timeout, timer: None }.boxed_unsync());
    let connection_ended = async move {
        connection.await;
        Ok(())
    };
    Ok((response, Box::new(connection_ended)))
}

/// Waits up to the limit that the component has set; without one, the deadline of its call applies.
async fn within<T>(
    limit: Option<Duration>,
    timeout_error: Error,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match limit {
        Some(limit) => timeout(limit, work).await.unwrap_or(Err(timeout_error)),
        None => work.await,
    }
}

/// A response body whose frames must arrive within the time that the component has set.
struct TimedBody {
    body: Incoming,
    idle_timeout: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.timer = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        let Some(idle_timeout) = self.idle_timeout else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(idle_timeout)));
        timer.as_mut().poll(context).map(|()| Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The error code for a connection that could not be opened.
pub fn connect_error(error: &std::io::Error) -> ErrorCode {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
        ErrorKind::TimedOut => ErrorCode::ConnectionTimeout,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => ErrorCode::DestinationIpUnroutable,
        _ => ErrorCode::DestinationUnavailable,
    }
}

/// The error code for a failed exchange.
pub fn exchange_error(error: &hyper::Error) -> ErrorCode {
    if error.is_parse_too_large() {
        ErrorCode::HttpResponseHeaderSectionSize(u32::try_from(MAX_BUFFER).ok())
    } else if error.is_incomplete_message() {
        ErrorCode::HttpResponseIncomplete
    } else if error.is_parse() || error.is_user() {
        ErrorCode::HttpProtocolError
    } else {
        ErrorCode::ConnectionTerminated
    }
}
