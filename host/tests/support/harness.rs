//! A real host process for a test: started on a free port, spoken to over real sockets, ended by real signals.
//!
//! Nothing here sleeps: a test waits for a log line, an answer or an exit, each with a deadline.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    sync::watch,
};

/// How long anything may take before a test gives up on it. Far above what any step needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A body that makes an order.
pub const ORDER: &str =
    r#"{"customer":"ada","currency":"EUR","items":[{"sku":"tea-1","quantity":2,"unit_price":450}]}"#;

/// Waits for `future`, but not for ever.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// The binary under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_orders-host"))
}

/// The orders component, as `cargo xtask test` built it.
pub fn orders() -> PathBuf {
    component("orders.wasm")
}

/// A component of `tests/guests/examples`.
pub fn fixture(name: &str) -> PathBuf {
    component(&format!("fixtures/{name}.wasm"))
}

/// A component in the folder that they are built to.
pub fn component(name: &str) -> PathBuf {
    let target = binary().parent().and_then(Path::parent).expect("the binary lies in a profile's folder");
    let path = target.join("components").join(name);
    assert!(
        path.exists(),
        "{} is missing: run the tests by `cargo xtask test`, which builds it",
        path.display()
    );
    path
}

/// Another version of a component, in this folder: a custom section says which, and nothing else differs.
pub fn version_of(component: &Path, version: u8, folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read(component).unwrap();
    // Section 0, its size, the size of its name, its name, what it holds.
    bytes.extend_from_slice(&[0, 9, 7]);
    bytes.extend_from_slice(b"version");
    bytes.push(version);
    let path = folder.join(format!("version-{version}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A host process that serves; killed when dropped.
pub struct TestHost {
    child: Child,
    log: Log,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it hears operators.
    pub admin: Option<SocketAddr>,
}

impl TestHost {
    /// Starts `orders-host serve` with the component, an in-memory store, no drain delay, operators on a free port
    /// and no trials, then `options`.
    pub async fn start(component: &Path, options: &[&str]) -> Self {
        Self::start_with(component, options, &[]).await
    }

    /// The same with these variables in its environment, and no others.
    pub async fn start_with(component: &Path, options: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary());
        command.arg("serve").arg("--component").arg(component).args([
            "--listen",
            "127.0.0.1:0",
            "--drain-delay",
            "0s",
            "--log-format",
            "json",
        ]);
        let stores = |name: &str| name.starts_with("--store") || name.starts_with("ORDERS_STORE");
        if !options.iter().copied().chain(variables.iter().map(|(name, _)| *name)).any(stores) {
            command.args(["--store", "memory:"]);
        }
        for (option, value) in [("--admin-listen", "127.0.0.1:0"), ("--canary", "0%")] {
            if !options.contains(&option) {
                command.args([option, value]);
            }
        }
        command.args(options);
        let mut child = command
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("the host can be run");
        let log = Log::follow(child.stdout.take().expect("its output is piped"));
        let serving = log.wait_for("the host to serve", |line| line["message"] == "serving").await;
        let address = |name: &str| serving[name].as_str().and_then(|address| address.parse().ok());
        let (address, admin) = (address("address"), address("admin_address"));
        Self { child, log, address: address.expect("the log says where it serves"), admin }
    }

    /// Starts it with the orders component.
    pub async fn orders(options: &[&str]) -> Self {
        Self::start(&orders(), options).await
    }

    /// Starts it with the fixture of this name.
    pub async fn fixture(name: &str, options: &[&str]) -> Self {
        Self::start(&fixture(name), options).await
    }

    /// The same with a token that operators have to show.
    pub async fn with_token(component: &Path, options: &[&str], token: &str) -> Self {
        Self::start_with(component, options, &[("ORDERS_ADMIN_TOKEN", token)]).await
    }

    /// A new connection to where it hears operators.
    pub async fn operator(&self) -> Client {
        Client::connect(self.admin.expect("it hears operators")).await.expect("the host accepts connections")
    }

    /// Its log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// A new connection to it.
    pub async fn connect(&self) -> Client {
        Client::connect(self.address).await.expect("the host accepts connections")
    }

    /// One request on a connection of its own.
    pub async fn get(&self, path: &str) -> Answer {
        self.connect().await.get(path).await
    }

    /// A socket without a client behind it.
    pub async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the host accepts connections")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the host is running");
    }

    /// Waits until it has ended.
    pub async fn exit(&mut self) -> ExitStatus {
        within("the host to end", self.child.wait()).await.expect("its exit can be waited for")
    }

    /// The most memory it has had at once, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    /// The memory it has now, in KiB.
    pub fn resident_memory_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    fn memory_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero()))
            .expect("the host is running");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// The names of its threads.
    pub fn threads(&self) -> Vec<String> {
        let folder = std::fs::read_dir(format!("/proc/{}/task", self.pid().as_raw_nonzero()));
        let names = folder.expect("the host is running").map(|thread| {
            std::fs::read_to_string(thread.expect("Linux says so").path().join("comm")).unwrap_or_default()
        });
        names.map(|name| name.trim().to_owned()).collect()
    }

    fn pid(&self) -> Pid {
        let id = self.child.id().expect("the host is running");
        Pid::from_raw(i32::try_from(id).expect("a process id")).expect("a process id")
    }
}

/// The lines that a host has logged, and those to come.
#[derive(Clone)]
pub struct Log {
    lines: Arc<Mutex<Vec<Value>>>,
    count: watch::Receiver<usize>,
}

impl Log {
    fn follow(output: impl tokio::io::AsyncRead + Unpin + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (counter, count) = watch::channel(0);
        let log = Self { lines: Arc::clone(&lines), count };
        tokio::spawn(async move {
            let mut output = BufReader::new(output).lines();
            while let Ok(Some(line)) = output.next_line().await {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a JSON line: {line}"));
                lines.lock().unwrap().push(line);
                counter.send_modify(|count| *count += 1);
            }
        });
        log
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for a line of this kind, among those logged already and those to come.
    pub async fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut count = self.count.clone();
        within(what, async {
            loop {
                count.borrow_and_update();
                if let Some(line) = self.lines().into_iter().find(&wanted) {
                    return line;
                }
                if count.changed().await.is_err() {
                    panic!("the log ended without {what}: {:#?}", self.lines());
                }
            }
        })
        .await
    }

    /// Waits until there are this many lines of a kind.
    pub async fn wait_for_count(&self, what: &str, wanted: usize, kind: impl Fn(&Value) -> bool) {
        let mut count = self.count.clone();
        within(what, async {
            count.borrow_and_update();
            while self.lines().iter().filter(|line| kind(line)).count() < wanted {
                count.changed().await.unwrap_or_else(|_| panic!("the log ended without {what}"));
            }
        })
        .await;
    }

    /// Waits for the access line of a request.
    pub async fn access(&self, request_id: &str) -> Value {
        self.wait_for("an access line", |line| line["target"] == "access" && line["request_id"] == request_id)
            .await
    }
}

/// One HTTP/1.1 connection.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender, host: address.to_string() })
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        let response = self.head(request).await?;
        let (head, body) = response.into_parts();
        let body = within("the body of an answer", body.collect()).await?.to_bytes();
        Ok(Answer { head, body })
    }

    /// Sends a request and reads the head of the answer.
    pub async fn head(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<hyper::body::Incoming>, hyper::Error> {
        let host = self.host.parse().expect("an address is a valid field");
        request.headers_mut().entry("host").or_insert(host);
        within("a place on the connection", self.sender.ready()).await?;
        within("the head of an answer", self.sender.send_request(request)).await
    }

    /// GET, answered.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).body(Full::default()).unwrap()).await.expect("an answer")
    }

    /// POST of an order.
    pub async fn create(&mut self) -> Result<Answer, hyper::Error> {
        self.send(post("/api/v1/orders", ORDER)).await
    }
}

/// A POST of JSON.
pub fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path).header("content-type", "application/json").body(Full::new(body.into())).unwrap()
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub head: http::response::Parts,
    pub body: Bytes,
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// The value of a field that must be there.
    pub fn field(&self, name: &str) -> &str {
        self.head.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that this is a problem that the host itself words (RFC 9457), and gives its detail.
    pub fn host_problem(&self, status: u16) -> String {
        assert_eq!(self.status(), status, "{self:?}");
        assert_eq!(self.field("content-type"), "application/problem+json");
        assert_eq!(self.field("cache-control"), "no-store");
        assert_eq!(self.field("x-content-type-options"), "nosniff");
        assert!(!self.field("x-request-id").is_empty());
        let problem = self.json();
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["title"], self.head.status.canonical_reason().unwrap());
        assert_eq!(self.head.headers.contains_key("retry-after"), status == 503);
        problem["detail"].as_str().expect("a detail").to_owned()
    }
}

/// Walks the list of all orders: each by its location.
pub async fn list_all(client: &mut Client) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let mut path = "/api/v1/orders?limit=100".to_owned();
    loop {
        let mut page = client.get(&path).await.json();
        for order in page["items"].as_array_mut().unwrap().drain(..) {
            all.insert(format!("/api/v1/orders/{}", order["id"].as_str().unwrap()), order);
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/orders?limit=100&cursor={cursor}"),
            None => return all,
        }
    }
}

/// Reads from a socket until the other side closes it.
pub async fn read_to_end(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too: what had arrived before it counts.
    let _ = within("the end of a connection", socket.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The end of a command that is not meant to serve.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program to its end, with nothing in its environment.
pub async fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
    run_with(&[], arguments).await
}

/// Runs the program to its end, with these variables alone.
pub async fn run_with(
    variables: &[(&str, &str)],
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Ran {
    let mut command = Command::new(binary());
    command.env_clear().envs(variables.iter().copied()).args(arguments).kill_on_drop(true);
    let output = command.output();
    let output = within("a command to end", output).await.expect("the host can be run");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
