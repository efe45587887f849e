//! The log as the process writes it: a reader that has stopped, a full file, values of clients.

use std::{fs::File, path::Path, process::Stdio};

use http::{Method, Request};
use http_body_util::Full;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::harness::{TestHost, binary, fixture, limit_file_size, orders, within};

/// Sends requests that the host rejects itself, because they have no Host field, and reads all responses.
async fn send_rejected(socket: TcpStream, count: usize, method: &str, path: &str) {
    let (mut reading, mut writing) = socket.into_split();
    let request = format!("{method} {path} HTTP/1.1\r\n\r\n");
    let last = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n\r\n");
    let write = async {
        for _ in 1..count {
            writing.write_all(request.as_bytes()).await.unwrap();
        }
        writing.write_all(last.as_bytes()).await.unwrap();
    };
    let mut responses = String::new();
    let (read, ()) =
        within("the responses", async { tokio::join!(reading.read_to_string(&mut responses), write) }).await;
    read.unwrap();
    assert_eq!(responses.matches("HTTP/1.1 400 ").count(), count);
}

#[tokio::test]
async fn a_log_that_nobody_reads_costs_bounded_memory_and_lost_lines_are_counted() {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 3000;
    let host = TestHost::orders(&[]).await;
    host.log().pause();
    let before = host.resident_memory_kib();
    let (method, path) = ("M".repeat(8 << 10), format!("/{}", "x".repeat(1024)));
    for _ in 0..CLIENTS {
        send_rejected(host.raw().await, REQUESTS, &method, &path).await;
    }
    let more = host.resident_memory_kib().saturating_sub(before);
    assert!(more < 24 << 10, "{more} KiB more");
    assert_eq!(host.get("/api/v1/orders").await.status(), 200);

    host.log().resume();
    let is_rejection = |line: &&Value| line["target"] == "access" && line["status"] == 400;
    let lost = |lines: &[Value]| -> u64 {
        lines
            .iter()
            .filter(|line| line["event"] == "log.lines_lost")
            .filter_map(|line| line["lost"].as_u64())
            .sum()
    };
    host.log().wait_for("a report", |line| line["event"] == "log.lines_lost").await;
    // The line of the list was lost, too: there was no room.
    let all = u64::try_from(CLIENTS * REQUESTS + 1).unwrap();
    let accounted = |lines: &[Value]| {
        let list = lines.iter().filter(|line| line["path"] == "/api/v1/orders").count();
        u64::try_from(lines.iter().filter(is_rejection).count() + list).unwrap() + lost(lines)
    };
    within("all lines to be written or reported", async {
        while accounted(&host.log().lines()) < all {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let lines = host.log().lines();
    assert_eq!(accounted(&lines), all);
    assert!(lost(&lines) > 1000, "{} lines were lost", lost(&lines));
    let report = lines.iter().find(|line| line["event"] == "log.lines_lost").unwrap();
    assert_eq!((&report["level"], &report["target"]), (&"WARN".into(), &"orders_host::log::writer".into()));

    // Afterwards, nothing is lost.
    let response = host.get("/api/v1/orders").await;
    host.log().access(response.field("x-request-id")).await;
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_keep_the_process_from_exiting() {
    let mut host = TestHost::orders(&[]).await;
    host.log().pause();
    send_rejected(host.raw().await, 1000, "GET", &format!("/{}", "x".repeat(1024))).await;
    host.signal(Signal::TERM);
    assert_eq!(host.exit().await.code(), Some(0));
}

#[tokio::test]
async fn values_of_clients_are_cut_in_the_log() {
    let token = "0123456789abcdef0123456789abcdef";
    let host = TestHost::with_token(&orders(), &[], token).await;
    let (method, path) = (Method::from_bytes(&[b'M'; 5000]).unwrap(), format!("/{}", "x".repeat(5000)));
    let cut = |start: &str, letter: &str| format!("{start}{}…", letter.repeat(256 - start.len()));
    let request = || Request::builder().method(method.clone()).uri(&path).body(Full::default()).unwrap();

    let response = host.connect().await.send(request()).await.unwrap();
    let access = host.log().access(response.field("x-request-id")).await;
    assert_eq!((&access["method"], &access["path"]), (&cut("", "M").into(), &cut("/", "x").into()));

    // Operators' requests are logged even if they are not from an operator.
    let mut operator = host.operator().await;
    assert_eq!(operator.send(request()).await.unwrap().status(), 401);
    let rejected =
        host.log().wait_for("the rejection", |line| line["event"] == "admin.request_rejected").await;
    assert_eq!((&rejected["method"], &rejected["path"]), (&cut("", "M").into(), &cut("/", "x").into()));

    // With a token, the reason quotes them.
    let with_token = |method: &[u8], uri: &str| {
        let method = Method::from_bytes(method).unwrap();
        let request =
            Request::builder().method(method).uri(uri).header("authorization", format!("Bearer {token}"));
        request.body(Full::default()).unwrap()
    };
    for (method, uri, status) in [
        (method.as_str().as_bytes(), "/v1/modules", 405),
        (&b"PUT"[..], &*format!("/v1/modules?canary={}", "x".repeat(5000)), 400),
        (b"GET", &format!("/v1/modules/{}", "x".repeat(5000)), 404),
    ] {
        let mut operator = host.operator().await;
        assert_eq!(operator.send(with_token(method, uri)).await.unwrap().status(), status);
        let is_rejection =
            |line: &Value| line["event"] == "admin.request_rejected" && line["status"] == status;
        let rejected = host.log().wait_for("the rejection", is_rejection).await;
        assert!(rejected.to_string().len() < 3000, "{rejected}");
    }
}

/// A path may have such characters although no client should send them.
#[tokio::test]
async fn lines_contain_no_characters_that_control_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["json", "text"] {
        let file = folder.path().join(format);
        let mut host = LoggingToFile::start(&file, format).await;
        for character in ["\u{9b}", "\u{85}", "\u{202e}", "\u{2066}", "\u{61c}", "\u{200f}"] {
            let mut socket = TcpStream::connect(host.address.as_str()).await.unwrap();
            let request = format!("GET /a{character}b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).await.unwrap();
            within("the response", socket.read_to_end(&mut Vec::new())).await.unwrap();
        }
        kill_process(host.pid(), Signal::TERM).unwrap();
        within("the exit", host.child.wait()).await.unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let is_allowed = |letter: char| matches!(letter, '\n' | ' '..='~' | '…');
        assert!(text.chars().all(is_allowed), "{text:?}");
        let escape = if format == "json" { "/a\\u009bb" } else { "/a\\u{9b}b" };
        assert!(text.contains(escape), "{text}");
        if format == "json" {
            let paths: Vec<_> = text
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["path"].clone())
                .collect();
            assert!(paths.contains(&"/a\u{202e}b".into()), "{paths:?}");
        }
    }
}

/// A carriage return would let a component overwrite what the line says before it.
#[tokio::test]
async fn output_of_a_component_cannot_overwrite_its_line() {
    let folder = tempfile::tempdir().unwrap();
    for (format, printed) in [("json", "50 %\\r100 %\\u0000"), ("text", "50 %\\r100 %\\u{0}")] {
        let file = folder.path().join(format);
        let mut host = LoggingToFile::serving(&fixture("prints"), &file, format).await;
        host.list().await;
        host.stop().await;
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(printed) && text.contains("third line"), "{text:?}");
        let is_allowed = |letter: char| matches!(letter, '\n' | ' '..='~' | '…');
        assert!(text.chars().all(is_allowed), "{text:?}");
    }
}

/// The log itself cannot say it any more.
#[tokio::test]
async fn lines_that_are_lost_at_the_end_are_counted_on_standard_error() {
    let mut command = Command::new(binary());
    command.env_clear().arg("serve").arg("--component").arg(orders()).args(["--log-format", "json"]);
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "off", "--store", "memory:"]);
    command.args(["--drain-delay", "0s"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = within("the start", async {
        loop {
            let line: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
            if line["event"] == "service.started" {
                break line["address"].as_str().unwrap().to_owned();
            }
        }
    })
    .await;
    // More than a pipe holds.
    let socket = TcpStream::connect(&address).await.unwrap();
    send_rejected(socket, 1000, "GET", &format!("/{}", "x".repeat(1024))).await;
    kill_process(Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    let mut stderr = String::new();
    let read = child.stderr.take().unwrap().read_to_string(&mut stderr).await;
    read.unwrap();
    assert_eq!(within("the exit", child.wait()).await.unwrap().code(), Some(0));
    let lost = stderr.strip_prefix("orders-host: ").and_then(|rest| rest.split_once(' ')).unwrap();
    assert!(lost.1.starts_with("log lines were lost") && stderr.lines().count() == 1, "{stderr}");
    let mut written = 0;
    while let Some(line) = within("the rest of the log", lines.next_line()).await.unwrap() {
        written +=
            u64::from(serde_json::from_str::<Value>(&line).is_ok_and(|line| line["target"] == "access"));
    }
    // The drain and the end of the store have lines, too.
    let lost: u64 = lost.0.parse().unwrap();
    assert!((1000..1010).contains(&(written + lost)), "{written} written, {lost} lost");
}

/// A host whose standard output is a file.
struct LoggingToFile {
    child: Child,
    address: String,
}

impl LoggingToFile {
    async fn start(file: &Path, format: &str) -> Self {
        Self::serving(&orders(), file, format).await
    }

    async fn serving(component: &Path, file: &Path, format: &str) -> Self {
        let mut command = Command::new(binary());
        command.env_clear().arg("serve").arg("--component").arg(component).args(["--log-format", format]);
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "off", "--store", "memory:"]);
        command.args(["--drain-delay", "0s"]).stdin(Stdio::null()).stdout(File::create(file).unwrap());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let address = within("the start", async {
            loop {
                let text = std::fs::read_to_string(file).unwrap();
                if let Some(started) = text.lines().find(|line| line.contains("service.started")) {
                    let after = started.split("127.0.0.1:").nth(1).expect("an address");
                    let port: String = after.chars().take_while(char::is_ascii_digit).collect();
                    break format!("127.0.0.1:{port}");
                }
                assert!(child.try_wait().unwrap().is_none(), "{text}");
                tokio::task::yield_now().await;
            }
        })
        .await;
        Self { child, address }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().expect("it runs").try_into().unwrap()).unwrap()
    }

    async fn stop(&mut self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        assert_eq!(within("the exit", self.child.wait()).await.unwrap().code(), Some(0));
    }

    async fn list(&self) {
        let mut socket = TcpStream::connect(self.address.as_str()).await.expect("it accepts connections");
        socket
            .write_all(b"GET /api/v1/orders HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut response = String::new();
        within("the response", socket.read_to_string(&mut response)).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
}

#[tokio::test]
async fn a_log_file_at_its_size_limit_loses_lines_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let mut host = LoggingToFile::start(&file, "json").await;
    let size = || std::fs::metadata(&file).unwrap().len();
    let limit = size() + 4096;
    limit_file_size(host.pid(), Some(limit));
    for _ in 0..100 {
        host.list().await;
    }
    assert!(size() <= limit);

    limit_file_size(host.pid(), None);
    host.list().await;
    within("the report", async {
        while !std::fs::read_to_string(&file).unwrap().contains("log.lines_lost") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    kill_process(host.pid(), Signal::TERM).unwrap();
    assert_eq!(within("the exit", host.child.wait()).await.unwrap().code(), Some(0));
    let lines = std::fs::read_to_string(&file).unwrap();
    let (whole, broken): (Vec<_>, Vec<_>) =
        lines.lines().map(serde_json::from_str::<Value>).partition(Result::is_ok);
    let whole: Vec<Value> = whole.into_iter().map(Result::unwrap).collect();
    assert!(broken.len() <= 1, "only the line at the limit is incomplete: {lines}");
    let lost: u64 = whole.iter().filter_map(|line| line["lost"].as_u64()).sum();
    let written = whole.iter().filter(|line| line["target"] == "access").count();
    assert_eq!(u64::try_from(written).unwrap() + lost, 101, "{lines}");
}
