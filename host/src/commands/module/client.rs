//! Requests to the operators' API, one connection each.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    net::TcpStream,
    time::{Duration, timeout},
};

use super::events::Events;
use crate::{
    admin::{Accepted, Overview, View},
    commands::error::CommandError,
    config::{AdminUrl, AskConfig, PushConfig, Token},
    module::hash::ModuleHash,
};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take. The longest wait is for the disk.
const ANSWER: Duration = Duration::from_secs(30);
/// The same of a component that is sent: the service gives it a minute to arrive.
const UPLOAD: Duration = Duration::from_secs(90);
/// The largest answer that is read: some hundred modules, each with a reason.
const MAX_ANSWER: usize = 8 << 20;

/// Asks one service.
#[derive(Debug)]
pub(super) struct Client {
    url: AdminUrl,
    token: Option<Token>,
}

impl Client {
    pub(super) fn new(config: &AskConfig) -> Result<Self, CommandError> {
        let token = config.token.token().map_err(CommandError::CouldNotRun)?;
        Ok(Self { url: config.admin.clone(), token })
    }

    pub(super) fn url(&self) -> &AdminUrl {
        &self.url
    }

    /// What there is, and the bytes that say so.
    pub(super) async fn overview(&self) -> Result<(Overview, Bytes), CommandError> {
        let (_, answer) = self.ask(Method::GET, "/v1/modules", Bytes::new(), ANSWER).await?;
        Ok((self.read(&answer)?, answer))
    }

    /// What is known of a module, and the bytes that say so; none if it is not known.
    pub(super) async fn module(&self, module: ModuleHash) -> Result<Option<(View, Bytes)>, CommandError> {
        let path = format!("/v1/modules/{module}");
        match self.ask(Method::GET, &path, Bytes::new(), ANSWER).await {
            Ok((_, answer)) => Ok(Some((self.read(&answer)?, answer))),
            Err(Asked::Answered(StatusCode::NOT_FOUND, _)) => Ok(None),
            Err(asked) => Err(asked.into()),
        }
    }

    pub(super) async fn push(
        &self,
        component: Vec<u8>,
        config: &PushConfig,
    ) -> Result<Accepted, CommandError> {
        let terms = [
            config.canary.map(|canary| format!("canary={canary}")),
            config.window.map(|window| format!("window={window}")),
            config.watch.map(|watch| format!("watch={watch}")),
        ];
        // A time may be written with spaces, a share has the sign of percent.
        let terms =
            terms.into_iter().flatten().collect::<Vec<_>>().join("&").replace(' ', "").replace('%', "%25");
        let path = format!("/v1/modules?{terms}");
        let (_, answer) = self.ask(Method::PUT, &path, component.into(), UPLOAD).await?;
        self.read(&answer)
    }

    /// What serves then.
    pub(super) async fn roll_back(&self) -> Result<View, CommandError> {
        let (_, answer) = self.ask(Method::POST, "/v1/rollback", Bytes::new(), ANSWER).await?;
        self.read(&answer)
    }

    /// What happens after the event of this number.
    pub(super) async fn events(&self, after: u64) -> Result<Events, CommandError> {
        let request = Request::get("/v1/events").header("last-event-id", after);
        let request = request.body(Full::default()).map_err(|error| self.unheard(&error))?;
        let answer = self.send(request, ANSWER).await?;
        match answer.status() {
            StatusCode::OK => Ok(Events::new(answer.into_body(), after)),
            _ => Err(self.stranger("no events").into()),
        }
    }

    /// One request, and the whole answer if it is what was asked for.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<(StatusCode, Bytes), Asked> {
        let request = Request::builder().method(method).uri(path).body(Full::new(body));
        let answer = self.send(request.map_err(|error| self.unheard(&error))?, patience).await?;
        let (head, body) = answer.into_parts();
        let body = match timeout(ANSWER, Limited::new(body, MAX_ANSWER).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return Err(self.unheard(&*error)),
            Err(_) => return Err(self.silent(ANSWER)),
        };
        if head.status.is_success() {
            return Ok((head.status, body));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if is_problem(head.headers.get(header::CONTENT_TYPE)) => {
                Err(Asked::Answered(head.status, self.worded(head.status, &problem.detail)))
            }
            _ => Err(self.stranger(head.status.as_str())),
        }
    }

    /// One request on a connection of its own.
    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        patience: Duration,
    ) -> Result<Response<Incoming>, Asked> {
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let host = HeaderValue::from_str(self.url.authority()).map_err(|error| self.unheard(&error))?;
        headers.insert(header::HOST, host);
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.reveal()));
            let mut value = value.map_err(|error| self.unheard(&error))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let socket = match timeout(CONNECT, TcpStream::connect(self.url.address())).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Err(self.unreachable(&error.to_string())),
            Err(_) => return Err(self.unreachable(&format!("no connection within {} s", CONNECT.as_secs()))),
        };
        let asked = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
            tokio::spawn(connection);
            sender.send_request(request).await
        };
        match timeout(patience, asked).await {
            Ok(answer) => answer.map_err(|error| self.unheard(&error)),
            Err(_) => Err(self.silent(patience)),
        }
    }

    fn read<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, CommandError> {
        serde_json::from_slice(answer).map_err(|_| self.stranger("something else").into())
    }

    /// What the service has to say, as a person is told it who did not write the request.
    fn worded(&self, status: StatusCode, detail: &str) -> String {
        match (status, &self.token) {
            (StatusCode::UNAUTHORIZED, None) => format!(
                "{} asks for the operators' token: --admin-token-file names its file, or ORDERS_ADMIN_TOKEN holds it",
                self.url
            ),
            (StatusCode::UNAUTHORIZED, Some(_)) => {
                format!("{} has another token than the one it was shown", self.url)
            }
            _ => one_line(detail),
        }
    }

    fn unreachable(&self, why: &str) -> Asked {
        Asked::Not(format!(
            "cannot reach {}: {why}; is the service running, and is this its --admin-listen? --admin or ORDERS_ADMIN \
             names another",
            self.url
        ))
    }

    fn unheard(&self, error: &dyn Error) -> Asked {
        let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
        Asked::Not(format!("the talk with {} broke off: {error}{cause}", self.url))
    }

    fn silent(&self, patience: Duration) -> Asked {
        Asked::Not(format!("{} did not answer within {} s", self.url, patience.as_secs()))
    }

    fn stranger(&self, answered: &str) -> Asked {
        Asked::Not(format!(
            "{} is not where an orders-host hears operators (it answered {answered}): its --admin-listen is expected",
            self.url
        ))
    }
}

/// Why a request came to nothing.
#[derive(Debug)]
enum Asked {
    /// It was not heard, or not by an operators' port.
    Not(String),
    /// It was answered with this status, and what it means.
    Answered(StatusCode, String),
}

impl From<Asked> for CommandError {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Answered(
                StatusCode::CONFLICT
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNPROCESSABLE_ENTITY
                | StatusCode::INTERNAL_SERVER_ERROR,
                why,
            ) => Self::Failed(why),
            Asked::Answered(_, why) | Asked::Not(why) => Self::CouldNotRun(why),
        }
    }
}

/// An error as it is written (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

fn is_problem(kind: Option<&HeaderValue>) -> bool {
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"))
}

/// A sentence of the service as a part of a line: without a capital and a full stop, and nothing that moves the cursor.
fn one_line(sentence: &str) -> String {
    let sentence = super::text::plain(sentence);
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
    fn a_sentence_becomes_a_part_of_a_line() {
        for (sentence, line) in [
            ("The component was rejected: no.", "the component was rejected: no"),
            ("HTTP is spoken here.", "HTTP is spoken here"),
            ("one\u{1b}[2Jtwo\n", "one [2Jtwo"),
            ("A", "A"),
            ("", ""),
        ] {
            assert_eq!(one_line(sentence), line);
        }
    }
}
