//! A real host process for a test: it listens on a free port, and the test uses real sockets and real signals.
//!
//! Nothing here sleeps: a test waits for a log line, a response or an exit, each with a deadline.
//!
//! | file | what it does |
//! |---|---|
//! | `log` | the log of a host |
//! | `client` | an HTTP client, and the responses that it reads |

mod client;
mod log;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

#[allow(unused_imports, reason = "a test crate uses only a part of the harness")]
pub use client::{Client, ORDER, TestResponse, list_all, post, read_to_end};
pub use log::Log;

/// How long a test waits for anything before it fails: far longer than any step takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `future`, at most for [`PATIENCE`]. `what` describes the event that the test waits for.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("timed out waiting for {what}"),
    }
}

/// The admin token of a host, unless its test configures the admin API itself.
pub const TOKEN: &str = "3d0b7a5e1c9f48d2b6a4";

/// The header field with this token, for a request that a test writes by hand.
pub const BEARER: &str = "Authorization: Bearer 3d0b7a5e1c9f48d2b6a4\r\n";

/// The binary under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_orders-host"))
}

/// The orders component that `cargo xtask test` has built.
pub fn orders() -> PathBuf {
    component("orders.wasm")
}

/// A component of `tests/guests/examples`.
pub fn fixture(name: &str) -> PathBuf {
    component(&format!("fixtures/{name}.wasm"))
}

/// A component in the build folder.
pub fn component(name: &str) -> PathBuf {
    let target = binary().parent().and_then(Path::parent).expect("the binary is in the folder of a profile");
    let path = target.join("components").join(name);
    assert!(
        path.exists(),
        "{} is missing: run the tests with `cargo xtask test`, which builds it",
        path.display()
    );
    path
}

/// Writes another version of a component to `folder`. Only a custom section with the version number differs.
pub fn version_of(component: &Path, version: u8, folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read(component).unwrap();
    // Section 0, its size, the size of its name, its name, its content.
    bytes.extend_from_slice(&[0, 9, 7]);
    bytes.extend_from_slice(b"version");
    bytes.push(version);
    let path = folder.join(format!("version-{version}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Writes the fixture `behaves` with a behaviour, such as `version=2 share=20 status=500`, to `folder`.
pub fn behaving(behaviour: &str, folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read(fixture("behaves")).unwrap();
    let mut starts = bytes.windows(BEHAVIOUR.len()).enumerate().filter(|(_, bytes)| *bytes == BEHAVIOUR);
    let (start, _) = starts.next().expect("the component has a marker");
    assert!(starts.next().is_none(), "the component has two markers");
    let marker = format!("{:.<MARKER_LENGTH$}", format!("behaviour: {behaviour}"));
    assert_eq!(marker.len(), MARKER_LENGTH, "the behaviour is too long");
    bytes[start..start + MARKER_LENGTH].copy_from_slice(marker.as_bytes());
    let path = folder.join(format!("{behaviour}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The beginning of the marker in the fixture `behaves`, and the marker's length.
const BEHAVIOUR: &[u8] = b"behaviour: version=1....";
const MARKER_LENGTH: usize = 64;

/// A host process that serves. It is killed on drop.
pub struct TestHost {
    child: Child,
    log: Log,
    /// Its public address.
    pub address: SocketAddr,
    /// The TCP address of its admin API.
    pub admin: Option<SocketAddr>,
    /// The address of its admin API, or `unix:` and the path of its socket.
    pub admin_address: Option<String>,
    /// What [`TestHost::operator`] sends.
    token: Option<&'static str>,
}

impl TestHost {
    /// Starts `orders-host serve` with the component, an in-memory store, no drain delay, the admin API on a free
    /// port with [`TOKEN`], and without trials and watches. `options` are added, and replace these defaults. A test that
    /// gives `--admin-listen` or a variable with a token gets no other token.
    pub async fn start(component: &Path, options: &[&str]) -> Self {
        Self::start_with(component, options, &[]).await
    }

    /// Like [`TestHost::start`], with an environment of `variables` alone.
    pub async fn start_with(component: &Path, options: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut host = Self::launch_with(component, options, variables).await;
        host.wait_until_serving().await;
        host
    }

    /// Like [`TestHost::start`], but returns when the host listens: it may not serve yet.
    pub async fn launch(component: &Path, options: &[&str]) -> Self {
        Self::launch_with(component, options, &[]).await
    }

    /// Like [`TestHost::launch`], with an environment of `variables` alone.
    pub async fn launch_with(component: &Path, options: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::launch_command(Command::new(binary()), component, options, variables).await
    }

    /// Starts the orders component as another user, with the program and the component in a folder of that user.
    pub async fn orders_as(user: u32, folder: &Path, options: &[&str]) -> Self {
        let (program, component) = (folder.join("orders-host"), folder.join("orders.wasm"));
        std::fs::copy(binary(), &program).expect("the program can be copied");
        std::fs::copy(orders(), &component).expect("the component can be copied");
        std::os::unix::fs::chown(folder, Some(user), Some(user)).expect("root may do that");
        let mut command = Command::new(program);
        command.uid(user).gid(user);
        let mut host = Self::launch_command(command, &component, options, &[]).await;
        host.wait_until_serving().await;
        host
    }

    async fn launch_command(
        mut command: Command,
        component: &Path,
        options: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
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
        for (option, value) in [("--admin-listen", "127.0.0.1:0"), ("--canary", "0%"), ("--watch", "0s")] {
            if !options.contains(&option) {
                command.args([option, value]);
            }
        }
        command.args(options);
        let configured = options.contains(&"--admin-listen")
            || variables.iter().any(|(name, _)| name.starts_with("ORDERS_ADMIN_TOKEN"));
        let token = (!configured).then_some(TOKEN);
        let mut child = command
            .env_clear()
            .envs(token.map(|token| ("ORDERS_ADMIN_TOKEN", token)))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("the host can be started");
        let log = Log::follow(child.stdout.take().expect("stdout is piped"));
        let listening = log.wait_for("the host to listen", |line| line["event"] == "service.listening").await;
        let address = address_in(&listening, "listen").expect("the log contains the address");
        Self { child, log, address, admin: None, admin_address: None, token }
    }

    /// Waits until a host that was launched serves.
    pub async fn wait_until_serving(&mut self) {
        let serving = self.log.wait_for("the start of the host", |line| line["message"] == "serving").await;
        self.admin = address_in(&serving, "admin_address");
        self.admin_address = serving["admin_address"].as_str().map(str::to_owned);
    }

    /// Requests `/ready` until it has this status, and returns the response: an answer may be half a second old.
    pub async fn ready(&self, status: u16) -> TestResponse {
        let asked = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            loop {
                tick.tick().await;
                let response = self.get("/ready").await;
                if response.status() == status {
                    return response;
                }
            }
        };
        within(&format!("/ready to return {status}"), asked).await
    }

    /// Starts a host with the orders component.
    pub async fn orders(options: &[&str]) -> Self {
        Self::start(&orders(), options).await
    }

    /// Starts a host with the fixture of this name.
    pub async fn fixture(name: &str, options: &[&str]) -> Self {
        Self::start(&fixture(name), options).await
    }

    /// Like [`TestHost::start`], with another admin token, which [`TestHost::operator`] does not send.
    pub async fn with_token(component: &Path, options: &[&str], token: &str) -> Self {
        Self::start_with(component, options, &[("ORDERS_ADMIN_TOKEN", token)]).await
    }

    /// A new connection to its admin API, on which requests carry the token.
    pub async fn operator(&self) -> Client {
        let address = self.admin_address.as_deref().expect("the admin API is on");
        let client = match (address.strip_prefix("unix:"), self.admin) {
            (Some(path), _) => Client::connect_to_socket(path.as_ref()).await,
            (None, address) => Client::connect(address.expect("an address")).await,
        };
        client.expect("the host accepts connections").with_token(self.token)
    }

    /// The log of the host.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// A new connection to its public address.
    pub async fn connect(&self) -> Client {
        Client::connect(self.address).await.expect("the host accepts connections")
    }

    /// Sends a GET request on a new connection.
    pub async fn get(&self, path: &str) -> TestResponse {
        self.connect().await.get(path).await
    }

    /// A new connection to its public address, as a plain socket.
    pub async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the host accepts connections")
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the host is running");
    }

    /// Limits the size of the files that the process writes, in bytes, or lifts the limit.
    pub fn limit_file_size(&self, bytes: Option<u64>) {
        limit_file_size(self.pid(), bytes);
    }

    /// Waits until the process has exited.
    pub async fn exit(&mut self) -> ExitStatus {
        within("the exit of the host", self.child.wait()).await.expect("the exit status can be read")
    }

    /// The peak memory of the process, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    /// The present memory of the process, in KiB.
    pub fn resident_memory_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    fn memory_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero()))
            .expect("the host is running");
        let line =
            status.lines().find_map(|line| line.strip_prefix(field)).expect("Linux reports this field");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// The names of the threads of the process.
    pub fn threads(&self) -> Vec<String> {
        let folder = std::fs::read_dir(format!("/proc/{}/task", self.pid().as_raw_nonzero()));
        let names = folder.expect("the host is running").map(|thread| {
            std::fs::read_to_string(thread.expect("Linux lists the threads").path().join("comm"))
                .unwrap_or_default()
        });
        names.map(|name| name.trim().to_owned()).collect()
    }

    /// The thread that accepts connections.
    pub fn main_thread(&self) -> i32 {
        self.pid().as_raw_nonzero().get()
    }

    /// How long each thread of the process has computed.
    pub fn thread_times(&self) -> BTreeMap<i32, Duration> {
        let folder = std::fs::read_dir(format!("/proc/{}/task", self.main_thread()));
        let times = folder.expect("the host is running").filter_map(|thread| {
            let path = thread.expect("Linux lists the threads").path();
            let times = std::fs::read_to_string(path.join("schedstat")).ok()?;
            let time = times.split(' ').next()?.parse().ok()?;
            Some((path.file_name()?.to_str()?.parse().ok()?, Duration::from_nanos(time)))
        });
        times.collect()
    }

    pub fn pid(&self) -> Pid {
        let id = self.child.id().expect("the host is running");
        Pid::from_raw(i32::try_from(id).expect("a process id")).expect("a process id")
    }
}

fn address_in(line: &serde_json::Value, name: &str) -> Option<SocketAddr> {
    line[name].as_str().and_then(|address| address.parse().ok())
}

/// Limits the size of the files that a process writes, in bytes, or lifts the limit.
pub fn limit_file_size(process: Pid, bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let limit = Rlimit { current: bytes.or(maximum), maximum };
    prlimit(Some(process), Resource::Fsize, limit).expect("a limit within the maximum");
}

/// Limits the number of threads of a user, as a process of that user sees it, or lifts the limit.
pub async fn limit_threads(user: u32, process: Pid, threads: Option<u64>) {
    let soft = threads.or(getrlimit(Resource::Nproc).maximum);
    let soft = soft.map_or_else(|| "unlimited".to_owned(), |threads| threads.to_string());
    let mut command = Command::new("prlimit");
    // Another user may lack the right, even root in a container.
    command.uid(user).gid(user).args(["--pid", &process.to_string(), &format!("--nproc={soft}:")]);
    let status = within("prlimit to end", command.status()).await;
    assert!(status.expect("prlimit is installed").success());
}

/// The exit code and the output of a command that does not serve.
pub struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program to its end, with an empty environment.
pub async fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> CommandOutput {
    run_with(&[], arguments).await
}

/// Runs the program to its end, with an environment of `variables` alone.
pub async fn run_with(
    variables: &[(&str, &str)],
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> CommandOutput {
    let mut command = Command::new(binary());
    command.env_clear().envs(variables.iter().copied()).args(arguments).kill_on_drop(true);
    let output = command.output();
    let output = within("the end of a command", output).await.expect("the host can be started");
    CommandOutput {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
