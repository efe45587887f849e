//! Clients that each send one request and then read the response slowly, or not at all.
//!
//! All of them share one thread, because the service needs the machine's other processors. What they have not read stays with
//! the service: their receive buffers are small, and so are their segments, because the kernel keeps some twenty segments for
//! each connection; on the loopback interface, those would be 2.5 MiB. Only clients that read at once have the sockets of others.

use std::{future, io, net::SocketAddr, time::Duration};

use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use orders_bench::response::{Framing, Head};

use crate::open_files;

/// The receive buffer of a client that does not read at once, in bytes; the kernel doubles it.
const RECEIVE_BUFFER: usize = 8 * 1024;
/// The maximum segment size of Ethernet, in bytes.
const SEGMENT: u32 = 1460;
/// How often a slow client reads, and how many bytes each time: 30 kB/s.
const SLOW_INTERVAL: Duration = Duration::from_millis(250);
const SLOW_BYTES: usize = 7_500;
/// Time between two looks at a head that has not arrived as a whole.
const LOOK: Duration = Duration::from_millis(10);
/// The most bytes of one read.
const READ: usize = 64 * 1024;
/// More bytes than the head of any response has.
const MAX_HEAD: usize = 4 * 1024;

/// How clients read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Not at all. The connection stays open.
    Never,
    /// 30 kB/s.
    Slowly,
    /// As fast as the response arrives.
    AtOnce,
}

/// Clients that come one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clients {
    pub(super) address: SocketAddr,
    pub(super) reading: Reading,
    pub(super) count: u32,
    /// Clients that come in a second.
    pub(super) arrivals: u32,
    /// From the first client until the last one is gone.
    pub(super) lasting: Duration,
}

/// What a client got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// `None` without a response.
    pub(super) status: Option<u16>,
    /// Whether it read the whole response.
    pub(super) whole: bool,
}

impl Clients {
    /// Has each client request `path`. Returns when the time is over, even if all clients have ended before.
    pub(super) fn run(self, path: &str) -> io::Result<Vec<Outcome>> {
        open_files::allow_connections(self.count)?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let began = Instant::now();
            let end = began + self.lasting;
            let mut clients = JoinSet::new();
            for number in 0..self.count {
                let comes = began + Duration::from_secs(1) * number / self.arrivals.max(1);
                clients.spawn(client(self, request.clone(), comes, end));
            }
            let mut outcomes = Vec::new();
            while let Some(outcome) = clients.join_next().await {
                outcomes.push(outcome?);
            }
            sleep_until(end).await;
            Ok(outcomes)
        })
    }
}

async fn client(clients: Clients, request: String, comes: Instant, end: Instant) -> Outcome {
    sleep_until(comes).await;
    let mut outcome = Outcome::default();
    // A client whose connection is cut got what it has read until then.
    let _ = timeout_at(end, visit(clients, &request, &mut outcome)).await;
    outcome
}

async fn visit(clients: Clients, request: &str, outcome: &mut Outcome) -> io::Result<()> {
    let mut socket = connect(clients).await?;
    socket.write_all(request.as_bytes()).await?;
    let head = peek(&socket).await?;
    outcome.status = Some(head.status);
    let Framing::Length(length) = head.body else { return Err(io::ErrorKind::InvalidData.into()) };
    match clients.reading {
        Reading::Never => future::pending().await,
        Reading::Slowly => read(&mut socket, head.length + length, Some(SLOW_BYTES)).await?,
        Reading::AtOnce => read(&mut socket, head.length + length, None).await?,
    }
    outcome.whole = true;
    Ok(())
}

async fn connect(Clients { address, reading, .. }: Clients) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if reading != Reading::AtOnce {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_tcp_mss(SEGMENT)?;
    }
    TcpSocket::from_std_stream(socket.into()).connect(address).await
}

/// The head of the response, which stays in the receive buffer.
async fn peek(socket: &TcpStream) -> io::Result<Head> {
    let mut bytes = [0; MAX_HEAD];
    loop {
        let length = socket.peek(&mut bytes).await?;
        if let Some(head) = Head::parse(bytes.get(..length).unwrap_or_default(), |_, _| ())? {
            return Ok(head);
        }
        if length == 0 || length == bytes.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        sleep(LOOK).await;
    }
}

/// Reads a response of this many bytes, of which at most `portion` in each interval.
async fn read(socket: &mut TcpStream, mut left: usize, portion: Option<usize>) -> io::Result<()> {
    let mut buffer = vec![0; READ];
    let mut next = Instant::now();
    while left > 0 {
        let mut budget = portion.unwrap_or(left).min(left);
        while budget > 0 {
            let most = budget.min(buffer.len());
            match socket.read(buffer.get_mut(..most).unwrap_or_default()).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => (budget, left) = (budget - read, left - read),
            }
        }
        if portion.is_some() {
            next += SLOW_INTERVAL;
            sleep_until(next).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        sync::mpsc::sync_channel,
        thread,
    };

    use super::*;

    const LENGTH: usize = 1 << 20;

    /// Sends a response of 1 MiB to each client; returns the bytes that it could send.
    fn outcomes(reading: Reading, lasting: Duration) -> (Vec<Outcome>, Vec<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, sent) = sync_channel(3);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (mut socket, sender) = (socket.unwrap(), sender.clone());
                thread::spawn(move || {
                    assert!(socket.read(&mut [0; 1024]).unwrap() > 0);
                    let mut response =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n").into_bytes();
                    response.resize(response.len() + LENGTH, b'x');
                    let written = response.chunks(1024).take_while(|chunk| socket.write_all(chunk).is_ok());
                    sender.send(written.count() * 1024)
                });
            }
        });
        let clients = Clients { address, reading, count: 3, arrivals: 100, lasting };
        let outcomes = clients.run("/").unwrap();
        (outcomes, sent.iter().take(3).collect())
    }

    #[test]
    fn a_client_that_does_not_read_leaves_the_response_with_the_service() {
        let (outcomes, sent) = outcomes(Reading::Never, Duration::from_millis(300));
        assert_eq!(outcomes, [Outcome { status: Some(200), whole: false }; 3]);
        assert!(sent.iter().all(|sent| *sent < LENGTH), "{sent:?}");
    }

    #[test]
    fn a_slow_client_reads_a_part_and_a_quick_one_everything() {
        let (outcomes_of_slow, sent) = outcomes(Reading::Slowly, Duration::from_millis(600));
        assert_eq!(outcomes_of_slow, [Outcome { status: Some(200), whole: false }; 3]);
        assert!(sent.iter().all(|sent| (7_500..LENGTH).contains(sent)), "{sent:?}");
        let (outcomes, sent) = outcomes(Reading::AtOnce, Duration::from_secs(2));
        assert_eq!(outcomes, [Outcome { status: Some(200), whole: true }; 3]);
        assert!(sent.iter().all(|sent| *sent > LENGTH), "{sent:?}");
    }
}
