//! Requests that a component sends to other servers: to those that the operator has named, and to no others.
//!
//! Each goes over a connection of its own, in HTTP/1.1 without TLS. It ends with the call that sent it, for it belongs to
//! the instance: when the deadline drops that, it drops the connection too.

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

use crate::config::{HTTP_PORT, OutboundServer};

/// Most connections of all instances together; whoever comes then waits, and its deadline goes on.
const MAX_CONNECTIONS: usize = 256;
/// Most connections of one instance, so that no request takes them all.
const MAX_OF_INSTANCE: usize = 8;
/// Most bytes that a connection holds in each direction; the head of an answer has to fit.
const MAX_BUFFER: usize = 64 * 1024;
/// Most of an authority that is logged: a component may name anything.
const MAX_LOGGED: usize = 256;

/// The answer to a request, and what keeps its connection going.
pub type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

/// The servers that components may send requests to.
#[derive(Debug)]
pub struct Outbound {
    servers: Vec<OutboundServer>,
    connections: Arc<Semaphore>,
}

impl Outbound {
    /// Allows requests to these servers; without any there is nothing to allow.
    pub fn to(servers: &[OutboundServer]) -> Option<Arc<Self>> {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        (!servers.is_empty()).then(|| Arc::new(Self { servers: servers.to_vec(), connections }))
    }
}

/// Sends the requests of one instance.
#[derive(Debug)]
pub struct Sender {
    allowed: Option<Arc<Outbound>>,
    /// Made for the first request that is sent: most instances send none.
    places: Option<Arc<Semaphore>>,
    /// Whether a refusal has been logged since the call began.
    logged: bool,
}

impl Sender {
    /// A sender to the servers that are allowed; without them, to none.
    pub fn new(allowed: Option<Arc<Outbound>>) -> Self {
        Self { allowed, places: None, logged: false }
    }

    /// Begins a call.
    pub fn begin(&mut self) {
        self.logged = false;
    }

    /// Sends a request for the call of this id, once there is a place for its connection.
    ///
    /// # Errors
    ///
    /// The future gives [`Error::HttpRequestDenied`] if the server is not one of those allowed, and for any other failure
    /// the error that `wasi:http` has for it.
    pub fn send(
        &mut self,
        request: Request<WasiBody>,
        options: RequestOptions,
        request_id: &str,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let Some((server, allowed)) = self.check(request.uri()) else {
            self.log(&request, request_id, "the server is not one that --allow-outbound names");
            return Box::new(async { Err(Error::HttpRequestDenied) });
        };
        if request.uri().scheme() != Some(&Scheme::HTTP) {
            const ONLY_HTTP: &str = "requests are sent over http only, not over https";
            self.log(&request, request_id, ONLY_HTTP);
            return Box::new(async { Err(Error::InternalError(Some(ONLY_HTTP.to_owned()))) });
        }
        let places = self.places.get_or_insert_with(|| Arc::new(Semaphore::new(MAX_OF_INSTANCE)));
        let places = [Arc::clone(places), Arc::clone(&allowed.connections)];
        Box::new(async move {
            let [own, common] = places;
            let places = [place(own).await?, place(common).await?];
            exchange(request, server, options, places).await
        })
    }

    /// Where the request goes, if it may.
    fn check(&self, uri: &Uri) -> Option<((String, u16), Arc<Outbound>)> {
        let (allowed, authority) = (self.allowed.as_ref()?, uri.authority()?);
        // A name and a password before the host would only disguise it (RFC 9110, section 4.2.4).
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

    fn log(&mut self, request: &Request<WasiBody>, request_id: &str, why: &str) {
        if std::mem::replace(&mut self.logged, true) {
            return;
        }
        let authority = request.uri().authority().map_or("", Authority::as_str);
        let authority = authority.get(..MAX_LOGGED).unwrap_or(authority);
        tracing::warn!(request_id, authority, why, "a request to another server was refused");
    }
}

async fn place(places: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    // It is never closed.
    places.acquire_owned().await.map_err(|_| Error::ConnectionLimitReached)
}

async fn exchange(
    mut request: Request<WasiBody>,
    (host, port): (String, u16),
    options: RequestOptions,
    places: [OwnedSemaphorePermit; 2],
) -> Result<Sent, Error> {
    let connect = async {
        let unknown = |_| Error::DnsError { rcode: None, info_code: None };
        let addresses: Vec<_> = lookup_host((host, port)).await.map_err(unknown)?.collect();
        let socket = TcpStream::connect(&*addresses).await.map_err(Error::Connect)?;
        socket.set_nodelay(true).map_err(Error::Connect)?;
        Ok(socket)
    };
    let socket = within(options.connect_timeout, Error::ConnectionTimeout, connect).await?;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(socket)).await?;
    // Whoever drops the handle ends the connection, and frees its places.
    let connection = runtime::spawn(async move {
        let _places = places;
        // How it ends is told by the answer.
        let _ = connection.await;
    });

    // To the server itself only the path is sent (RFC 9112, section 3.2.1).
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    let answer = async { sender.send_request(request).await.map_err(Error::from) };
    let answer = within(options.first_byte_timeout, Error::ConnectionReadTimeout, answer).await?;
    let patience = options.between_bytes_timeout;
    let answer = answer.map(|body| AnswerBody { body, patience, waiting: None }.boxed_unsync());
    let ended = async move {
        connection.await;
        Ok(())
    };
    Ok((answer, Box::new(ended)))
}

/// Waits for as long as the component has asked for; without a limit its deadline is one.
async fn within<T>(
    limit: Option<Duration>,
    too_late: Error,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match limit {
        Some(limit) => timeout(limit, work).await.unwrap_or(Err(too_late)),
        None => work.await,
    }
}

/// The body of an answer, each part of which comes within the time that the component has asked for.
struct AnswerBody {
    body: Incoming,
    patience: Option<Duration>,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        let Some(patience) = self.patience else { return Poll::Pending };
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        waiting.as_mut().poll(context).map(|()| Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a component is told of a connection that could not be made.
pub fn connect_error(error: &std::io::Error) -> ErrorCode {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
        ErrorKind::TimedOut => ErrorCode::ConnectionTimeout,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => ErrorCode::DestinationIpUnroutable,
        _ => ErrorCode::DestinationUnavailable,
    }
}

/// What a component is told of an exchange that broke off.
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
