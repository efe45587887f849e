//! An open-loop load generator: it sends requests when they are due, whether or not the service keeps up, as many clients
//! that know nothing of one another do. (wrk has a closed loop: a slow service gets fewer requests.)
//!
//! All requests are scheduled in advance, at equal intervals, and the connections take turns. If a connection is busy when
//! its request is due, the request is sent as soon as the connection is free; its latency counts from when it was due. If
//! the connection's next request is due by then, the first is dropped.
//!
//! All connections share one thread, because the service needs the machine's other processors. The timer has a resolution
//! of one millisecond.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use orders_bench::{
    client::{ORDER, create_request},
    response::{Framing, Head},
};

use crate::open_files;

/// How long the generator waits for the last responses.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes for a response: more than any response to a create has.
const BUFFER: usize = 4 * 1024;

/// The load to generate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) address: SocketAddr,
    pub(crate) connections: u32,
    /// Requests per second.
    pub(crate) rate: f64,
    /// The duration in seconds.
    pub(crate) seconds: u32,
}

/// What the generator counted.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Requests sent.
    pub(crate) sent: u32,
    /// Requests not sent, because their connection was busy until its next request was due.
    pub(crate) dropped: u32,
    /// Latencies of responses with status 201, from when the request was due.
    pub(crate) accepted: Vec<Duration>,
    /// Latencies of responses with status 503, from when the request was due.
    pub(crate) rejected: Vec<Duration>,
    /// Responses with another status.
    pub(crate) others: u32,
    /// Connections that were refused, or ended without a response or announcement; responses that cannot be parsed.
    pub(crate) broken: u32,
    /// Requests without a response in the end.
    pub(crate) unanswered: u32,
    /// Connections that the service closed with a response, and that were opened again.
    pub(crate) closed: u32,
    /// From the first request until the schedule ended, in seconds.
    pub(crate) seconds: f64,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.dropped += other.dropped;
        self.accepted.extend(other.accepted);
        self.rejected.extend(other.rejected);
        self.others += other.others;
        self.broken += other.broken;
        self.unanswered += other.unanswered;
        self.closed += other.closed;
    }
}

/// Sends requests that create orders, and waits for the last response.
pub(crate) fn run(offer: Offer) -> io::Result<Outcome> {
    open_files::allow_connections(offer.connections)?;
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut sockets = Vec::new();
        for _ in 0..offer.connections {
            sockets.push(connect(offer.address).await?);
        }
        let interval = Duration::from_secs_f64(1.0 / offer.rate.max(1.0));
        let began = Instant::now();
        let end = began + Duration::from_secs(offer.seconds.into());
        let mut clients = JoinSet::new();
        for (number, socket) in (0..).zip(sockets) {
            let client = Client {
                address: offer.address,
                socket: Some(socket),
                interval: interval * offer.connections,
                end,
                buffer: vec![0; BUFFER],
                outcome: Outcome::default(),
            };
            clients.spawn(client.run(began + interval.saturating_mul(number)));
        }
        sleep_until(end).await;
        let mut outcome = Outcome { seconds: began.elapsed().as_secs_f64(), ..Outcome::default() };
        while let Some(ended) = clients.join_next().await {
            outcome.add(ended.map_err(io::Error::other)?);
        }
        Ok(outcome)
    })
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// One connection with its share of the schedule.
struct Client {
    address: SocketAddr,
    /// None after the connection was closed.
    socket: Option<TcpStream>,
    /// Between two requests of this connection.
    interval: Duration,
    /// When the schedule ends.
    end: Instant,
    buffer: Vec<u8>,
    outcome: Outcome,
}

impl Client {
    async fn run(mut self, mut due: Instant) -> Outcome {
        let request = create_request(self.address, "", ORDER);
        while due < self.end {
            sleep_until(due).await;
            let next = due + self.interval;
            if next < self.end && next <= Instant::now() {
                self.outcome.dropped += 1;
            } else {
                match timeout_at(self.end + TIMEOUT, self.send(request.as_bytes(), due)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => {
                        self.outcome.broken += 1;
                        self.socket = None;
                    }
                    Err(_) => {
                        self.outcome.unanswered += 1;
                        break;
                    }
                }
            }
            due = next;
        }
        self.outcome
    }

    /// Sends a request and counts the response.
    async fn send(&mut self, request: &[u8], due: Instant) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            None => self.socket.insert(connect(self.address).await?),
        };
        socket.write_all(request).await?;
        self.outcome.sent += 1;
        let head = receive(socket, &mut self.buffer).await?;
        match head.status {
            201 => self.outcome.accepted.push(due.elapsed()),
            503 => self.outcome.rejected.push(due.elapsed()),
            _ => self.outcome.others += 1,
        }
        if head.closes {
            self.outcome.closed += 1;
            self.socket = None;
        }
        Ok(())
    }
}

/// Receives a response, usually in one piece. All responses to a create state their length, and nothing may follow them.
async fn receive(socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Head> {
    let mut received = 0;
    loop {
        match socket.read(buffer.get_mut(received..).unwrap_or_default()).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => received += read,
        }
        if let Some(head) = Head::parse(buffer.get(..received).unwrap_or_default(), |_, _| ())? {
            match head.body {
                Framing::Length(length) if head.length + length == received => return Ok(head),
                Framing::Length(length) if head.length + length > received => {}
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::{TcpListener, TcpStream},
        thread,
    };

    use super::*;

    /// Sends the same response to every request, and then closes the connection if the response says so.
    fn service(response: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for socket in listener.incoming() {
                thread::spawn(move || serve(BufReader::new(socket.unwrap()), response));
            }
        });
        address
    }

    fn serve(mut socket: BufReader<TcpStream>, response: &str) {
        let mut line = String::new();
        while socket.read_line(&mut line).is_ok_and(|read| read > 0) {
            if line == "\r\n" {
                socket.read_exact(&mut vec![0; ORDER.len()]).unwrap();
                socket.get_mut().write_all(response.as_bytes()).unwrap();
                if response.contains("close") {
                    return;
                }
            }
            line.clear();
        }
    }

    fn offer(response: &'static str) -> Outcome {
        run(Offer { address: service(response), connections: 3, rate: 100.0, seconds: 1 }).unwrap()
    }

    #[test]
    fn every_scheduled_request_and_every_response_is_counted() {
        let outcome = offer("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!(outcome.sent + outcome.dropped, 100);
        assert_eq!(outcome.accepted.len(), outcome.sent as usize);
        let Outcome { rejected, others, broken, unanswered, closed, .. } = outcome;
        assert_eq!((rejected.len(), others, broken, unanswered, closed), (0, 0, 0, 0, 0));
    }

    #[test]
    fn a_connection_that_is_closed_with_a_response_is_opened_again() {
        let outcome =
            offer("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(outcome.rejected.len(), outcome.sent as usize);
        assert_eq!(outcome.closed, outcome.sent);
        assert_eq!((outcome.broken, outcome.unanswered), (0, 0));
    }

    #[test]
    fn a_response_that_is_cut_off_counts_as_broken() {
        let outcome = offer("HTTP/1.1 201 Created, then close\r\ncontent-length: 2\r\n\r\n");
        assert_eq!(outcome.broken, outcome.sent);
        assert_eq!(outcome.accepted.len(), 0);
    }
}
