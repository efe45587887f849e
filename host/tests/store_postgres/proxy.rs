//! A network that can be broken: a proxy in front of a server's socket.

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

/// The message that ends a call: one letter and a length.
const SYNC: &[u8] = b"S\0\0\0\x04";

/// What happens to bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// They arrive.
    Good,
    /// They stay where they are, in both directions; connections are accepted.
    Hangs,
    /// Connections are accepted and closed.
    Refuses,
}

/// What happens to the first bytes from a client that hold a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// They arrive; the answer does not, and the connection ends.
    Answer,
    /// They do not arrive, and the connection ends.
    Request,
    /// All but the last message of them arrive, which is the one that ends a call, and nothing follows.
    End,
    /// They arrive once the network is told so, whatever has become of the client.
    Late,
}

/// The proxy; it ends with the test's runtime.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: PathBuf,
    network: watch::Sender<Network>,
    /// Counts up each time all connections are to be cut.
    cuts: watch::Sender<usize>,
    accepted: watch::Sender<usize>,
    /// Messages that end a call, each of which the server answers: round trips.
    calls: watch::Sender<usize>,
    /// On so many of the first connections nothing arrives any more.
    forgotten: watch::Sender<usize>,
    /// What is to be lost next, and by which mark it is known.
    loss: Mutex<Option<(Vec<u8>, Loss)>>,
    lost: watch::Sender<usize>,
    /// Whether what is late may arrive, and whether it has.
    released: watch::Sender<bool>,
    arrived: watch::Sender<bool>,
}

impl Proxy {
    /// A proxy on a free port, in front of a Unix socket.
    pub async fn start(target: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            network: watch::Sender::new(Network::Good),
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

    /// The URL of a database behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}?sslmode=disable", self.address)
    }

    pub fn network(&self, network: Network) {
        self.shared.network.send_replace(network);
    }

    /// Cuts all connections that are open.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|count| *count += 1);
    }

    /// From now on nothing arrives on the connections that are open. New ones are good.
    pub fn forget(&self) {
        let accepted = *self.shared.accepted.borrow();
        self.shared.forgotten.send_replace(accepted);
    }

    /// Loses what holds this mark, once.
    pub fn lose(&self, mark: &str, loss: Loss) {
        *self.shared.loss.lock().unwrap() = Some((mark.as_bytes().to_vec(), loss));
    }

    /// Waits until that has happened, `count` times in all.
    pub async fn lost(&self, count: usize) {
        self.shared.lost.subscribe().wait_for(|lost| *lost >= count).await.unwrap();
    }

    /// Lets what is late arrive, and waits until the server has dealt with it.
    pub async fn release(&self) {
        self.shared.released.send_replace(true);
        self.shared.arrived.subscribe().wait_for(|arrived| *arrived).await.unwrap();
    }

    /// Round trips so far, all connections together.
    pub fn calls(&self) -> usize {
        *self.shared.calls.borrow()
    }

    /// Connections so far.
    pub fn accepted(&self) -> watch::Receiver<usize> {
        self.shared.accepted.subscribe()
    }
}

impl Shared {
    async fn relay(self: Arc<Self>, client: TcpStream, number: usize) {
        let mut cuts = self.cuts.subscribe();
        let known = *cuts.borrow_and_update();
        if *self.network.borrow() == Network::Refuses {
            return;
        }
        let Ok(server) = UnixStream::connect(&self.target).await else { return };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let requests = async {
            let mut buffer = vec![0; 64 << 10];
            loop {
                let length = from_client.read(&mut buffer).await.unwrap_or(0);
                self.passable(number).await;
                let bytes = &buffer[..length];
                let calls = bytes.windows(SYNC.len()).filter(|part| *part == SYNC).count();
                self.calls.send_modify(|count| *count += calls);
                match self.take_loss(bytes) {
                    Some(Loss::Request) => break Some(Loss::Request),
                    Some(Loss::End) => {
                        to_server.write_all(&bytes[..length - SYNC.len()]).await.unwrap();
                        self.lost.send_modify(|count| *count += 1);
                        // Until the client goes; and the server learns even that no sooner.
                        while from_client.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
                        break None;
                    }
                    Some(Loss::Late) => {
                        self.released.subscribe().wait_for(|released| *released).await.unwrap();
                        to_server.write_all(bytes).await.unwrap();
                        break Some(Loss::Late);
                    }
                    Some(Loss::Answer) => {
                        to_server.write_all(bytes).await.unwrap();
                        break Some(Loss::Answer);
                    }
                    None if length == 0 || to_server.write_all(bytes).await.is_err() => break None,
                    None => {}
                }
            }
        };
        let answers = async {
            let mut buffer = vec![0; 64 << 10];
            loop {
                let length = from_server.read(&mut buffer).await.unwrap_or(0);
                self.passable(number).await;
                if length == 0 || to_client.write_all(&buffer[..length]).await.is_err() {
                    break;
                }
            }
        };
        let lost = tokio::select! {
            lost = requests => lost,
            () = answers => None,
            _ = cuts.wait_for(|count| *count > known) => return,
        };
        if matches!(lost, Some(Loss::Answer | Loss::Late)) {
            // The server has done it once it answers; that goes nowhere.
            let mut buffer = vec![0; 64 << 10];
            let _ = from_server.read(&mut buffer).await;
            self.arrived.send_replace(true);
        }
        if lost.is_some() {
            self.lost.send_modify(|count| *count += 1);
        }
    }

    /// Waits while nothing arrives.
    async fn passable(&self, number: usize) {
        self.forgotten.subscribe().wait_for(|forgotten| *forgotten < number).await.unwrap();
        self.network.subscribe().wait_for(|network| *network != Network::Hangs).await.unwrap();
    }

    fn take_loss(&self, bytes: &[u8]) -> Option<Loss> {
        let mut loss = self.loss.lock().unwrap();
        let found = loss.as_ref().is_some_and(|(mark, _)| bytes.windows(mark.len()).any(|part| part == mark));
        if found { loss.take().map(|(_, loss)| loss) } else { None }
    }
}
