//! A proxy in front of a server's socket, which simulates a faulty network.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

/// The message that ends a call (Sync): one letter and a length.
const SYNC: &[u8] = b"S\0\0\0\x04";

/// The state of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Bytes are delivered.
    Working,
    /// Bytes are held back in both directions; connections are accepted.
    Hanging,
    /// Connections are accepted and immediately closed.
    Refusing,
}

/// What happens to the first bytes from a client that contain a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// They are delivered, but the reply is not, and the connection ends.
    Reply,
    /// They are not delivered, and the connection ends.
    Request,
    /// All but the last message, which ends the call, is delivered, and nothing follows.
    End,
    /// They are delivered on [`Proxy::release`], even if the client has gone.
    Late,
}

/// The proxy, which ends with the test's runtime.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: PathBuf,
    network: watch::Sender<Network>,
    /// Incremented to close all connections.
    cuts: watch::Sender<usize>,
    accepted: watch::Sender<usize>,
    /// Counts the messages that end a call. The server replies to each, so they are round trips.
    calls: watch::Sender<usize>,
    /// Nothing is delivered any more on this many of the first connections.
    forgotten: watch::Sender<usize>,
    /// The next loss, and the marker that triggers it.
    loss: Mutex<Option<(Vec<u8>, Loss)>>,
    lost: watch::Sender<usize>,
    /// Whether delayed bytes may be delivered, and whether they have been.
    released: watch::Sender<bool>,
    arrived: watch::Sender<bool>,
}

impl Proxy {
    /// Starts a proxy on a free port, in front of a Unix socket.
    pub async fn start(target: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            network: watch::Sender::new(Network::Working),
            cuts: watch::Sender::new(0),
            accepted: watch::Sender::new(0),
            calls: watch::Sender::new(0),
            forgotten: watch::Sender::new(0),
            loss: Mutex::new(None),
            lost: watch::Sender::new(0),
            released: watch::Sender::new(false),
            arrived: watch::Sender::new(false),
        });
        let address = listener.local_addr().unwrap();
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                accepting.accepted.send_modify(|count| *count += 1);
                let number = *accepting.accepted.borrow();
                tokio::spawn(Arc::clone(&accepting).relay(client, number));
            }
        });
        Self { address, shared }
    }

    /// The URL of a database behind the proxy.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}?sslmode=disable", self.address)
    }

    pub fn network(&self, network: Network) {
        self.shared.network.send_replace(network);
    }

    /// Closes all open connections.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|count| *count += 1);
    }

    /// Stops delivery on the open connections. New ones work.
    pub fn forget(&self) {
        let accepted = *self.shared.accepted.borrow();
        self.shared.forgotten.send_replace(accepted);
    }

    /// Applies the loss once, to the next bytes that contain the marker.
    pub fn lose(&self, marker: &str, loss: Loss) {
        *self.shared.loss.lock().unwrap() = Some((marker.as_bytes().to_vec(), loss));
    }

    /// Waits until `count` losses have happened in all.
    pub async fn lost(&self, count: usize) {
        self.shared.lost.subscribe().wait_for(|lost| *lost >= count).await.unwrap();
    }

    /// Delivers delayed bytes, and waits until the server has processed them.
    pub async fn release(&self) {
        self.shared.released.send_replace(true);
        self.shared.arrived.subscribe().wait_for(|arrived| *arrived).await.unwrap();
    }

    /// The number of round trips so far, on all connections.
    pub fn calls(&self) -> usize {
        *self.shared.calls.borrow()
    }

    /// The number of accepted connections so far.
    pub fn accepted(&self) -> watch::Receiver<usize> {
        self.shared.accepted.subscribe()
    }
}

impl Shared {
    async fn relay(self: Arc<Self>, client: TcpStream, number: usize) {
        let mut cuts = self.cuts.subscribe();
        let known = *cuts.borrow_and_update();
        if *self.network.borrow() == Network::Refusing {
            return;
        }
        let Ok(server) = UnixStream::connect(&self.target).await else { return };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let requests = async {
            let mut buffer = vec![0; 64 << 10];
            loop {
                let length = from_client.read(&mut buffer).await.unwrap_or(0);
                self.wait_for_delivery(number).await;
                let bytes = &buffer[..length];
                let calls = bytes.windows(SYNC.len()).filter(|part| *part == SYNC).count();
                self.calls.send_modify(|count| *count += calls);
                match self.take_loss(bytes) {
                    Some(Loss::Request) => break Some(Loss::Request),
                    Some(Loss::End) => {
                        to_server.write_all(&bytes[..length - SYNC.len()]).await.unwrap();
                        self.lost.send_modify(|count| *count += 1);
                        // Waits until the client disconnects; the server does not notice that earlier either.
                        while from_client.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
                        break None;
                    }
                    Some(Loss::Late) => {
                        self.released.subscribe().wait_for(|released| *released).await.unwrap();
                        to_server.write_all(bytes).await.unwrap();
                        break Some(Loss::Late);
                    }
                    Some(Loss::Reply) => {
                        to_server.write_all(bytes).await.unwrap();
                        break Some(Loss::Reply);
                    }
                    None if length == 0 || to_server.write_all(bytes).await.is_err() => break None,
                    None => {}
                }
            }
        };
        let replies = async {
            let mut buffer = vec![0; 64 << 10];
            loop {
                let length = from_server.read(&mut buffer).await.unwrap_or(0);
                self.wait_for_delivery(number).await;
                if length == 0 || to_client.write_all(&buffer[..length]).await.is_err() {
                    break;
                }
            }
        };
        let lost = tokio::select! {
            lost = requests => lost,
            () = replies => None,
            _ = cuts.wait_for(|count| *count > known) => return,
        };
        if matches!(lost, Some(Loss::Reply | Loss::Late)) {
            // The server has finished once it replies; the reply is discarded.
            let mut buffer = vec![0; 64 << 10];
            let _ = from_server.read(&mut buffer).await;
            self.arrived.send_replace(true);
        }
        if lost.is_some() {
            self.lost.send_modify(|count| *count += 1);
        }
    }

    /// Waits while nothing is delivered.
    async fn wait_for_delivery(&self, number: usize) {
        self.forgotten.subscribe().wait_for(|forgotten| *forgotten < number).await.unwrap();
        self.network.subscribe().wait_for(|network| *network != Network::Hanging).await.unwrap();
    }

    fn take_loss(&self, bytes: &[u8]) -> Option<Loss> {
        let mut loss = self.loss.lock().unwrap();
        let matches =
            loss.as_ref().is_some_and(|(marker, _)| bytes.windows(marker.len()).any(|part| part == marker));
        if matches { loss.take().map(|(_, loss)| loss) } else { None }
    }
}
