//! A load generator with an open loop: requests are offered when they are due, whether or not the service keeps up,
//! as many clients that know nothing of one another do. (wrk has a closed loop: a slow service is asked less.)
//!
//! All arrivals are fixed in advance, at equal distances, and the connections take turns. A request whose connection
//! is still busy when it is due is sent as soon as that is free, and its time counts from when it was due. If the next
//! one of the same connection is due before that, the first is given up, and counts as not offered.
//!
//! One thread does it all, and allocates next to nothing: it has the machine in common with the service.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use mio::{Events, Poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::connection::{self, Client, Event};

/// How long the last answers are waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Events taken from the operating system at once.
const EVENTS: usize = 256;
/// Bytes read at once: more than any answer has.
const SCRATCH: usize = 16 * 1024;

/// What is offered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// To whom.
    pub(crate) address: SocketAddr,
    /// Over how many connections.
    pub(crate) connections: u32,
    /// Requests a second.
    pub(crate) rate: f64,
    /// For how long, in seconds.
    pub(crate) seconds: u32,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Requests that were sent.
    pub(crate) sent: u32,
    /// Requests that were not, for their connection was busy until the next one was due.
    pub(crate) given_up: u32,
    /// Times of the answers 201.
    pub(crate) accepted: Times,
    /// Times of the answers 503.
    pub(crate) refused: Times,
    /// Other answers.
    pub(crate) others: u32,
    /// Connections that could not be made, or ended without an announcement or an answer; answers that cannot be read.
    pub(crate) broken: u32,
    /// Requests without an answer in the end.
    pub(crate) unanswered: u32,
    /// Connections that the service closed with an answer, and that were made anew.
    pub(crate) closed: u32,
    /// From the first request until nothing more was due, in seconds.
    pub(crate) seconds: f64,
}

/// How long answers took from when their requests were due, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<u32>);

impl Times {
    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The time in milliseconds that this many of a hundred answers do not exceed; none if there are no answers.
    pub(crate) fn percentile(&self, share: usize) -> Option<f64> {
        let last = self.0.len().checked_sub(1)?;
        self.0.get(last * share / 100).map(|micros| f64::from(*micros) / 1e3)
    }

    fn add(&mut self, time: Duration) {
        self.0.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }
}

/// Offers requests that create orders, and waits for the last answer.
///
/// # Errors
///
/// If the connections cannot be made to begin with.
pub(crate) fn run(offer: Offer) -> io::Result<Outcome> {
    make_room_for(offer.connections)?;
    let poll = Poll::new()?;
    let clients = (0..offer.connections)
        .map(|token| Client::new(TcpStream::connect(offer.address)?, token, poll.registry()))
        .collect::<io::Result<Vec<_>>>()?;
    let mut load = Load {
        schedule: Schedule::new(offer),
        request: connection::request(offer.address),
        scratch: vec![0; SCRATCH],
        outcome: Outcome::default(),
        offer,
        clients,
        poll,
    };
    load.run()?;
    let mut outcome = load.outcome;
    for times in [&mut outcome.accepted, &mut outcome.refused] {
        times.0.sort_unstable();
    }
    Ok(outcome)
}

/// When which request is due.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    began: Instant,
    distance: Duration,
    next: u32,
    end: Instant,
}

impl Schedule {
    fn new(offer: Offer) -> Self {
        let began = Instant::now();
        Self {
            began,
            distance: Duration::from_secs_f64(1.0 / offer.rate.max(1.0)),
            next: 0,
            end: began + Duration::from_secs(offer.seconds.into()),
        }
    }

    /// When the next request is due; none if there are no more.
    fn due(&self) -> Option<Instant> {
        let due = self.began + self.distance.saturating_mul(self.next);
        (due < self.end).then_some(due)
    }
}

struct Load {
    offer: Offer,
    schedule: Schedule,
    request: Vec<u8>,
    clients: Vec<Client>,
    poll: Poll,
    scratch: Vec<u8>,
    outcome: Outcome,
}

impl Load {
    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while let Some(due) = self.take_turns() {
            self.wait(&mut events, due)?;
        }
        self.outcome.seconds = self.schedule.began.elapsed().as_secs_f64();
        let deadline = self.schedule.end + PATIENCE;
        while self.clients.iter().any(Client::is_waiting) && Instant::now() < deadline {
            self.wait(&mut events, deadline)?;
        }
        let unanswered = self.clients.iter().filter(|client| client.is_waiting()).count();
        self.outcome.unanswered = u32::try_from(unanswered).unwrap_or(u32::MAX);
        Ok(())
    }

    /// Sends what is due, each on the next connection. Gives the time when there is more to send.
    fn take_turns(&mut self) -> Option<Instant> {
        let now = Instant::now();
        loop {
            let due = self.schedule.due()?;
            if due > now {
                return Some(due);
            }
            let turn = self.schedule.next % self.offer.connections.max(1);
            self.schedule.next += 1;
            if let Some(client) = client_at(&mut self.clients, turn) {
                let event = client.offer(due, &self.request);
                self.count(turn, event);
            }
        }
    }

    /// Reads answers as they come, until `until`.
    fn wait(&mut self, events: &mut Events, until: Instant) -> io::Result<()> {
        let time = until.saturating_duration_since(Instant::now());
        match self.poll.poll(events, Some(time)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in events.iter() {
            let Ok(token) = u32::try_from(event.token().0) else { continue };
            let Some(client) = client_at(&mut self.clients, token) else { continue };
            let event = client.advance(event.is_writable(), &mut self.scratch);
            self.count(token, event);
        }
        Ok(())
    }

    /// Counts what has happened on a connection, and has it go on.
    fn count(&mut self, token: u32, event: Event) {
        let outcome = &mut self.outcome;
        match event {
            Event::Nothing => {}
            Event::Sent => outcome.sent += 1,
            Event::GivenUp => outcome.given_up += 1,
            Event::Connected => self.catch_up(token),
            Event::Answered { status, due, closed } => {
                match status {
                    201 => outcome.accepted.add(due.elapsed()),
                    503 => outcome.refused.add(due.elapsed()),
                    _ => outcome.others += 1,
                }
                outcome.closed += u32::from(closed);
                if closed { self.reopen(token) } else { self.catch_up(token) }
            }
            Event::Broken => {
                outcome.broken += 1;
                self.reopen(token);
            }
        }
    }

    /// Sends what has become due while the connection was busy.
    fn catch_up(&mut self, token: u32) {
        if let Some(client) = client_at(&mut self.clients, token) {
            let event = client.catch_up(&self.request);
            self.count(token, event);
        }
    }

    fn reopen(&mut self, token: u32) {
        if let Some(client) = client_at(&mut self.clients, token)
            && client.reopen(self.offer.address, token, self.poll.registry()).is_err()
        {
            self.outcome.broken += 1;
        }
    }
}

fn client_at(clients: &mut [Client], token: u32) -> Option<&mut Client> {
    clients.get_mut(usize::try_from(token).ok()?)
}

/// Raises the limit of open files, for a connection is one.
fn make_room_for(connections: u32) -> io::Result<()> {
    /// Open files beside the connections, and more than enough.
    const OTHERS: u64 = 64;
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::from(connections) + OTHERS;
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum })?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends by panicking")]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// Answers every request with the same bytes, and hangs up then if they say so.
    fn service(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for socket in listener.incoming() {
                thread::spawn(move || serve(BufReader::new(socket.unwrap()), answer));
            }
        });
        address
    }

    fn serve(mut socket: BufReader<TcpStream>, answer: &str) {
        let mut line = String::new();
        while socket.read_line(&mut line).is_ok_and(|read| read > 0) {
            if line == "\r\n" {
                let mut body = vec![0; orders_bench::client::ORDER.len()];
                socket.read_exact(&mut body).unwrap();
                socket.get_mut().write_all(answer.as_bytes()).unwrap();
                if answer.contains("close") {
                    return;
                }
            }
            line.clear();
        }
    }

    fn offer(address: SocketAddr, connections: u32) -> Outcome {
        run(Offer { address, connections, rate: 100.0, seconds: 1 }).unwrap()
    }

    #[test]
    fn what_is_due_is_offered_and_every_answer_counted() {
        let outcome = offer(service("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}"), 3);
        assert_eq!(outcome.sent + outcome.given_up, 100);
        assert_eq!(outcome.accepted.count(), outcome.sent);
        assert!(outcome.accepted.percentile(50) <= outcome.accepted.percentile(100));
        let Outcome { refused, others, broken, unanswered, closed, .. } = outcome;
        assert_eq!((refused.count(), others, broken, unanswered, closed), (0, 0, 0, 0, 0));
    }

    #[test]
    fn a_connection_that_is_closed_with_an_answer_is_made_anew() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let outcome = offer(service(answer), 3);
        assert_eq!(outcome.refused.count(), outcome.sent);
        assert_eq!(outcome.closed, outcome.sent);
        assert_eq!((outcome.broken, outcome.unanswered), (0, 0));
    }

    #[test]
    fn a_service_that_breaks_off_is_seen_to() {
        let outcome = offer(service("HTTP/1.1 201 Created, then close\r\ncontent-length: 2\r\n\r\n"), 3);
        assert_eq!(outcome.broken, outcome.sent);
        assert_eq!(outcome.accepted.count(), 0);
    }
}
