//! The load generator. A request takes the connection that has been idle for longest, or opens another one, so that it never
//! waits for a response to another request. Its latency counts from when it was due.
//!
//! One thread sleeps until the next request is due, because the timers of the runtime that sends it have a resolution of one
//! millisecond, which is longer than most responses take.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinSet,
    time::timeout_at,
};

use orders_bench::response::{Framing, Head};
use xtask::command::{TaskError, pause};

use super::schedule::Schedule;

/// Connections that are opened at the start: the host gives each to one of its threads, for good.
const CONNECTIONS: usize = 16;
/// The most requests under way: below the host's limit of connections.
const MAX_UNDER_WAY: usize = 1_900;
/// How long a response may take: the host's default deadline is 10 s.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes for a response: more than any response here has.
const BUFFER: usize = 4 * 1024;
/// What the body of the fixture `behaves` says before its version.
const VERSION: &[u8] = b"version ";

/// A request and its outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) due: Instant,
    pub(crate) latency: Duration,
    /// `None` without a response.
    pub(crate) status: Option<u16>,
    /// The version of the module that responded, if its response has one.
    pub(crate) version: Option<u8>,
}

/// A load generator; stops when dropped.
pub(crate) struct Traffic {
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<Vec<Sample>>>>,
}

impl Traffic {
    /// Starts to send a request repeatedly.
    pub(crate) fn start(address: SocketAddr, request: String, schedule: Schedule, seed: u64) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let (sender, due) = channel(MAX_UNDER_WAY);
        let stop = Arc::clone(&stopped);
        thread::spawn(move || keep_time(schedule, seed, &sender, &stop));
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(send_all(address, request.into(), due))
        });
        Self { stopped, thread: Some(thread) }
    }

    /// Sends no more requests, and returns all of them once each has its outcome.
    pub(crate) fn stop(mut self) -> Result<Vec<Sample>, TaskError> {
        self.stopped.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        let ended = ended.ok_or_else(|| TaskError("the load was stopped twice".to_owned()))?;
        let samples = ended.map_err(|_| TaskError("the load generator panicked".to_owned()))?;
        samples.map_err(|error| TaskError(format!("the load: {error}")))
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Sends the time of each request when it is due. Ends once the load is stopped, at the next request.
fn keep_time(schedule: Schedule, seed: u64, sender: &Sender<Instant>, stopped: &AtomicBool) {
    let began = Instant::now();
    for due in schedule.due_times(seed).map(|due| began + due) {
        pause(due.saturating_duration_since(Instant::now()));
        if stopped.load(Ordering::Relaxed) || sender.blocking_send(due).is_err() {
            return;
        }
    }
}

async fn send_all(
    address: SocketAddr,
    request: Arc<str>,
    mut due: Receiver<Instant>,
) -> io::Result<Vec<Sample>> {
    let pool = Arc::new(Pool { address, idle: Mutex::default() });
    for _ in 0..CONNECTIONS {
        pool.put(pool.connect().await?);
    }
    let (mut under_way, mut samples) = (JoinSet::new(), Vec::new());
    while let Some(due) = due.recv().await {
        while let Some(sample) = under_way.try_join_next() {
            samples.push(sample?);
        }
        if under_way.len() < MAX_UNDER_WAY {
            under_way.spawn(outcome(Arc::clone(&pool), Arc::clone(&request), due));
        } else {
            samples.push(Sample { due, latency: Duration::ZERO, status: None, version: None });
        }
    }
    while let Some(sample) = under_way.join_next().await {
        samples.push(sample?);
    }
    samples.sort_unstable_by_key(|sample| sample.due);
    Ok(samples)
}

/// The connections without a request.
struct Pool {
    address: SocketAddr,
    idle: Mutex<VecDeque<TcpStream>>,
}

impl Pool {
    async fn connect(&self) -> io::Result<TcpStream> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    fn take(&self) -> Option<TcpStream> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn put(&self, socket: TcpStream) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push_back(socket);
    }
}

/// Sends a request and waits for the response.
async fn outcome(pool: Arc<Pool>, request: Arc<str>, due: Instant) -> Sample {
    let response = timeout_at((due + TIMEOUT).into(), exchange(&pool, request.as_bytes())).await;
    let (status, version) = match response {
        Ok(Ok((status, version))) => (Some(status), version),
        Ok(Err(_)) | Err(_) => (None, None),
    };
    Sample { due, latency: due.elapsed(), status, version }
}

/// Returns the status of the response, and the version in its body. Every response here states its length.
async fn exchange(pool: &Pool, request: &[u8]) -> io::Result<(u16, Option<u8>)> {
    let mut socket = match pool.take() {
        Some(socket) => socket,
        None => pool.connect().await?,
    };
    socket.write_all(request).await?;
    let (mut buffer, mut received) = (vec![0; BUFFER], 0);
    loop {
        match socket.read(buffer.get_mut(received..).unwrap_or_default()).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => received += read,
        }
        let bytes = buffer.get(..received).unwrap_or_default();
        let Some(head) = Head::parse(bytes, |_, _| ())? else { continue };
        let Framing::Length(length) = head.body else { return Err(io::ErrorKind::InvalidData.into()) };
        if head.length + length <= received {
            let body = bytes.get(head.length..).unwrap_or_default();
            if !head.closes {
                pool.put(socket);
            }
            return Ok((head.status, body.strip_prefix(VERSION).and_then(|rest| rest.first()).copied()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
    };

    use super::*;

    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// Responds to the first request of each connection after a pause, and to all others at once.
    fn service(first: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for socket in listener.incoming() {
                thread::spawn(move || {
                    let mut socket = BufReader::new(socket.unwrap());
                    let (mut line, mut delay) = (String::new(), first);
                    while socket.read_line(&mut line).is_ok_and(|read| read > 0) {
                        if line == "\r\n" {
                            pause(std::mem::take(&mut delay));
                            let response = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nversion 2\n";
                            socket.get_mut().write_all(response).unwrap();
                        }
                        line.clear();
                    }
                });
            }
        });
        address
    }

    #[test]
    fn requests_are_sent_when_they_are_due_however_slow_the_responses_are() {
        let delay = Duration::from_millis(500);
        let traffic = Traffic::start(service(delay), REQUEST.to_owned(), Schedule::Steady(100), 1);
        pause(Duration::from_secs(1));
        let samples = traffic.stop().ok().unwrap();
        assert!((90..=101).contains(&samples.len()), "{}", samples.len());
        assert!(samples.iter().all(|sample| sample.status == Some(200) && sample.version == Some(b'2')));
        let slow = samples.iter().filter(|sample| sample.latency >= delay).count();
        // Until the first response, each request has a connection of its own.
        assert!((45..=70).contains(&slow), "{slow}");
    }

    #[test]
    fn a_connection_that_ends_without_a_response_is_counted_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || listener.incoming().for_each(drop));
        let traffic = Traffic::start(address, REQUEST.to_owned(), Schedule::Steady(50), 1);
        pause(Duration::from_millis(500));
        let samples = traffic.stop().ok().unwrap();
        assert!(samples.len() > 10 && samples.iter().all(|sample| sample.status.is_none()));
    }
}
