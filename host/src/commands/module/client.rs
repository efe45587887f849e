//! Requests to the admin API, each on a connection of its own.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::{Duration, timeout};

use super::{connect::Connector, event_stream::EventStream};
use crate::{
    admin::{Accepted, Overview, View},
    commands::error::CommandError,
    config::{AdminClientConfig, AdminTarget, RolloutOptions, Token},
    module::hash::ModuleHash,
};

/// Maximum time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time for a response to arrive. The slowest part is the service's disk.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time for the response to an upload: the service gives the component one minute to arrive.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(90);
/// Maximum size of a response: several hundred modules, each with a reason.
const MAX_RESPONSE_BYTES: usize = 8 << 20;

/// A client of one service.
#[derive(Debug)]
pub(super) struct Client {
    connector: Connector,
    token: Option<Token>,
}

impl Client {
    pub(super) fn new(config: &AdminClientConfig) -> Result<Self, CommandError> {
        let tokens = config.token.tokens().map_err(CommandError::CouldNotRun)?;
        let connector = Connector::new(config.admin.as_ref(), config.admin_ca.as_deref());
        let connector = connector.map_err(CommandError::CouldNotRun)?;
        Ok(Self { connector, token: tokens.map(|tokens| tokens.first().clone()) })
    }

    pub(super) fn target(&self) -> &AdminTarget {
        &self.connector.target
    }

    /// The overview of all modules, and the JSON it was read from.
    pub(super) async fn overview(&self) -> Result<(Overview, Bytes), CommandError> {
        let json = self.request(Method::GET, "/v1/modules", Bytes::new(), RESPONSE_TIMEOUT).await?;
        Ok((self.parse(&json)?, json))
    }

    /// A module and the JSON it was read from; none if the service does not know the module.
    pub(super) async fn module(&self, module: ModuleHash) -> Result<Option<(View, Bytes)>, CommandError> {
        let path = format!("/v1/modules/{module}");
        match self.request(Method::GET, &path, Bytes::new(), RESPONSE_TIMEOUT).await {
            Ok(json) => Ok(Some((self.parse(&json)?, json))),
            Err(RequestError::Rejected(StatusCode::NOT_FOUND, _)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Uploads a component, with the terms of its rollout.
    pub(super) async fn push(
        &self,
        component: Vec<u8>,
        rollout: &RolloutOptions,
    ) -> Result<Accepted, CommandError> {
        let path = format!("/v1/modules?{}", query(rollout));
        let json = self.request(Method::PUT, &path, component.into(), UPLOAD_TIMEOUT).await?;
        self.parse(&json)
    }

    /// Rolls out a module that is kept.
    pub(super) async fn activate(
        &self,
        module: ModuleHash,
        rollout: &RolloutOptions,
    ) -> Result<Accepted, CommandError> {
        let path = format!("/v1/modules/{module}/activate?{}", query(rollout));
        match self.request(Method::POST, &path, Bytes::new(), RESPONSE_TIMEOUT).await {
            Ok(json) => self.parse(&json),
            Err(RequestError::Rejected(StatusCode::NOT_FOUND, _)) => Err(CommandError::Failed(format!(
                "{} is known, but not kept: push its component",
                module.short()
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// Rolls back, and returns the module that serves afterwards.
    pub(super) async fn roll_back(&self) -> Result<View, CommandError> {
        let json = self.request(Method::POST, "/v1/rollback", Bytes::new(), RESPONSE_TIMEOUT).await?;
        self.parse(&json)
    }

    /// The events after the one with this number.
    pub(super) async fn events(&self, after: u64) -> Result<EventStream, CommandError> {
        let request = Request::get("/v1/events").header("last-event-id", after);
        let request = request.body(Full::default()).map_err(|error| self.connection_failed(&error))?;
        let response = self.send(request, RESPONSE_TIMEOUT).await?;
        match response.status() {
            StatusCode::OK => Ok(EventStream::new(response.into_body(), after)),
            _ => Err(self.unexpected_response("no event stream").into()),
        }
    }

    /// Sends one request and returns the body of a successful response.
    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        response_timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        let request = Request::builder().method(method).uri(path).body(Full::new(body));
        let request = request.map_err(|error| self.connection_failed(&error))?;
        let (head, body) = self.send(request, response_timeout).await?.into_parts();
        let body = match timeout(RESPONSE_TIMEOUT, Limited::new(body, MAX_RESPONSE_BYTES).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return Err(self.connection_failed(&*error)),
            Err(_) => return Err(self.timed_out(RESPONSE_TIMEOUT)),
        };
        if head.status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if is_problem(head.headers.get(header::CONTENT_TYPE)) => {
                Err(RequestError::Rejected(head.status, self.error_text(head.status, &problem.detail)))
            }
            _ => Err(self.unexpected_response(head.status.as_str())),
        }
    }

    /// Sends one request on a connection of its own.
    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        response_timeout: Duration,
    ) -> Result<Response<Incoming>, RequestError> {
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let host = HeaderValue::from_str(self.target().authority())
            .map_err(|error| self.connection_failed(&error))?;
        headers.insert(header::HOST, host);
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.reveal()));
            let mut value = value.map_err(|error| self.connection_failed(&error))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let socket = match timeout(CONNECT_TIMEOUT, self.connector.connect()).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(why)) => return Err(self.unreachable(&why)),
            Err(_) => {
                return Err(
                    self.unreachable(&format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))
                );
            }
        };
        let response = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
            tokio::spawn(connection);
            sender.send_request(request).await
        };
        match timeout(response_timeout, response).await {
            Ok(response) => response.map_err(|error| self.connection_failed(&error)),
            Err(_) => Err(self.timed_out(response_timeout)),
        }
    }

    fn parse<T: DeserializeOwned>(&self, json: &[u8]) -> Result<T, CommandError> {
        serde_json::from_slice(json).map_err(|_| self.unexpected_response("unknown JSON").into())
    }

    /// The reason for a rejection, worded for the user of the command.
    fn error_text(&self, status: StatusCode, detail: &str) -> String {
        match (status, &self.token) {
            (StatusCode::UNAUTHORIZED, None) => format!(
                "{} requires the admin token: give its file with --admin-token-file, or set ORDERS_ADMIN_TOKEN",
                self.target()
            ),
            (StatusCode::UNAUTHORIZED, Some(_)) => {
                format!("{} rejected the token", self.target())
            }
            // The service's public port, for example. The admin API returns 404 only for a module that it does not know.
            (StatusCode::NOT_FOUND, _) => self.not_the_api(status.as_str()),
            _ => clause(detail),
        }
    }

    fn unreachable(&self, why: &str) -> RequestError {
        RequestError::NoResponse(format!(
            "cannot reach {}: {why}; check that the service is running and that this is its --admin-listen (another one \
             can be given with --admin or ORDERS_ADMIN)",
            self.target()
        ))
    }

    fn connection_failed(&self, error: &dyn Error) -> RequestError {
        let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
        RequestError::NoResponse(format!("the connection to {} failed: {error}{cause}", self.target()))
    }

    fn timed_out(&self, timeout: Duration) -> RequestError {
        RequestError::NoResponse(format!("{} did not respond within {} s", self.target(), timeout.as_secs()))
    }

    fn unexpected_response(&self, returned: &str) -> RequestError {
        RequestError::NoResponse(self.not_the_api(returned))
    }

    fn not_the_api(&self, returned: &str) -> String {
        format!(
            "{} is not the admin API of an orders-host (it returned {returned}): give the address of its \
             --admin-listen",
            self.target()
        )
    }
}

/// The terms of a rollout as a query. A period may be written with spaces, and a share has a percent sign.
fn query(rollout: &RolloutOptions) -> String {
    let terms: Vec<_> = rollout.terms().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    terms.join("&").replace(' ', "").replace('%', "%25")
}

/// Why a request failed.
#[derive(Debug)]
enum RequestError {
    /// There was no response, or not one of the admin API.
    NoResponse(String),
    /// The service rejected the request with this status, for this reason.
    Rejected(StatusCode, String),
}

impl From<RequestError> for CommandError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Rejected(
                StatusCode::CONFLICT
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNPROCESSABLE_ENTITY
                | StatusCode::INTERNAL_SERVER_ERROR,
                why,
            ) => Self::Failed(why),
            RequestError::Rejected(_, why) | RequestError::NoResponse(why) => Self::CouldNotRun(why),
        }
    }
}

/// The part of a problem document that is shown (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

fn is_problem(content_type: Option<&HeaderValue>) -> bool {
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"))
}

/// A sentence of the service as a part of a line: without an initial capital, full stop or control characters.
fn clause(sentence: &str) -> String {
    let sentence = super::text::printable(sentence);
    let sentence = sentence.strip_suffix('.').unwrap_or(&sentence);
    let mut letters = sentence.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_becomes_a_clause() {
        for (sentence, expected) in [
            ("The component was rejected: no.", "the component was rejected: no"),
            ("HTTP is spoken here.", "HTTP is spoken here"),
            ("one\u{1b}[2Jtwo\n", "one [2Jtwo"),
            ("A", "A"),
            ("", ""),
        ] {
            assert_eq!(clause(sentence), expected);
        }
    }
}
