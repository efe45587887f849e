//! One connection of the open loop: at most one request on its way, and at most one that waits for its turn.

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    time::Instant,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use orders_bench::client::ORDER;

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    socket: TcpStream,
    doing: Doing,
    /// When the request was due that waits for the connection to be free.
    late: Option<Instant>,
    /// The beginning of an answer.
    partial: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Doing {
    Connecting,
    Nothing,
    /// A request was sent that was due then.
    Waiting(Instant),
}

/// What has happened on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing that counts.
    Nothing,
    /// It can be used.
    Connected,
    /// A request was sent.
    Sent,
    /// A request will not be sent.
    GivenUp,
    /// A request was answered that was due then.
    Answered { status: u16, due: Instant, closed: bool },
    /// It cannot be used any more.
    Broken,
}

impl Client {
    /// Takes over a connection.
    pub(super) fn new(socket: std::net::TcpStream, token: u32, registry: &Registry) -> std::io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let mut socket = TcpStream::from_std(socket);
        registry.register(&mut socket, token_of(token), Interest::READABLE)?;
        Ok(Self { socket, doing: Doing::Nothing, late: None, partial: Vec::new() })
    }

    /// Makes the connection anew.
    pub(super) fn reopen(
        &mut self,
        address: SocketAddr,
        token: u32,
        registry: &Registry,
    ) -> std::io::Result<()> {
        self.socket = TcpStream::connect(address)?;
        self.doing = Doing::Connecting;
        self.partial.clear();
        registry.register(&mut self.socket, token_of(token), Interest::READABLE | Interest::WRITABLE)
    }

    /// Whether an answer is to come.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.doing, Doing::Waiting(_))
    }

    /// A request is due: it is sent, or waits, in the place of one that has waited for too long.
    pub(super) fn offer(&mut self, due: Instant, request: &[u8]) -> Event {
        if matches!(self.doing, Doing::Nothing) {
            return self.send(due, request);
        }
        if self.late.replace(due).is_some() { Event::GivenUp } else { Event::Nothing }
    }

    /// Sends what has waited.
    pub(super) fn catch_up(&mut self, request: &[u8]) -> Event {
        self.late.take().map_or(Event::Nothing, |due| self.send(due, request))
    }

    fn send(&mut self, due: Instant, request: &[u8]) -> Event {
        // Nothing is on its way: there is room for all of it.
        match self.socket.write(request) {
            Ok(written) if written == request.len() => {
                self.doing = Doing::Waiting(due);
                Event::Sent
            }
            _ => Event::Broken,
        }
    }

    /// The operating system has news of this connection.
    pub(super) fn advance(&mut self, writable: bool, scratch: &mut [u8]) -> Event {
        if matches!(self.doing, Doing::Connecting) {
            return match (writable, self.socket.take_error(), self.socket.peer_addr()) {
                (true, Ok(None), Ok(_)) => {
                    self.doing = Doing::Nothing;
                    Event::Connected
                }
                (_, Ok(None), Err(error)) if error.kind() == ErrorKind::NotConnected => Event::Nothing,
                (false, Ok(None), Ok(_)) => Event::Nothing,
                _ => Event::Broken,
            };
        }
        loop {
            match self.socket.read(scratch) {
                Ok(read) if read > 0 => {
                    let event = self.take(scratch.get(..read).unwrap_or_default());
                    // The end of the connection may have come with half an answer, and is told of only once.
                    if event != Event::Nothing {
                        return event;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Event::Nothing,
                _ => return Event::Broken,
            }
        }
    }

    /// Reads an answer as it comes, mostly in one piece.
    fn take(&mut self, news: &[u8]) -> Event {
        if self.partial.is_empty() {
            let answer = Answer::read(news);
            if answer.is_none() {
                self.partial.extend_from_slice(news);
            }
            return self.answered(answer, news.len());
        }
        self.partial.extend_from_slice(news);
        self.answered(Answer::read(&self.partial), self.partial.len())
    }

    /// Of `read` bytes; one request is answered at a time, so that nothing may follow.
    fn answered(&mut self, answer: Option<Answer>, read: usize) -> Event {
        match (self.doing, answer) {
            (Doing::Waiting(_), None) => Event::Nothing,
            (Doing::Waiting(due), Some(Answer { status, length, closes })) if length == read => {
                self.doing = Doing::Nothing;
                self.partial.clear();
                Event::Answered { status, due, closed: closes }
            }
            _ => Event::Broken,
        }
    }
}

fn token_of(number: u32) -> Token {
    Token(usize::try_from(number).unwrap_or(usize::MAX))
}

/// A request that creates an order.
pub(super) fn request(address: SocketAddr) -> Vec<u8> {
    format!(
        "POST /api/v1/orders HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{ORDER}",
        ORDER.len()
    )
    .into_bytes()
}

/// A whole answer, as far as it matters here. Its body has a length, as those of all answers to a create have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// Bytes of head and body.
    length: usize,
    /// Whether the connection ends with it.
    closes: bool,
}

impl Answer {
    /// Reads an answer; none if it is not whole yet.
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(bytes.get(..end)?).unwrap_or_default();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let mut answer = Self { status, length: end + 4, closes: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                answer.length += value.trim().parse().unwrap_or(0);
            } else if name.eq_ignore_ascii_case("connection") {
                answer.closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        (answer.length <= bytes.len()).then_some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_it_is_whole() {
        let bytes = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\ncontent-length: 2\r\n\r\n{}";
        for end in 0..bytes.len() {
            assert_eq!(Answer::read(&bytes[..end]), None);
        }
        let whole = Answer { status: 503, length: bytes.len(), closes: true };
        assert_eq!(Answer::read(bytes), Some(whole));
        assert_eq!(Answer::read(b"HTTP/1.1 201 Created\r\n\r\n").map(|answer| answer.status), Some(201));
        assert_eq!(Answer::read(b"nonsense\r\n\r\n").map(|answer| answer.status), Some(0));
    }
}
