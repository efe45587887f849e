//! Health endpoints, signals and drain: a shutdown fails no request.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use crate::harness::{Client, ORDER, TestHost, list_all, read_to_end, run, within};

#[tokio::test]
async fn a_serving_host_is_healthy_and_ready() {
    let host = TestHost::orders(&[]).await;
    for (path, body) in [("/health", r#"{"status":"ok"}"#), ("/ready", r#"{"status":"ready"}"#)] {
        let response = host.get(path).await;
        assert_eq!((response.status(), &response.body[..]), (200, body.as_bytes()));
        assert_eq!(response.field("content-type"), "application/json");
        assert_eq!(response.field("cache-control"), "no-store");

        let head = http::Request::head(path).body(Default::default()).unwrap();
        let response = host.connect().await.send(head).await.unwrap();
        assert_eq!((response.status(), response.body.len()), (200, 0));

        let delete = http::Request::delete(path).body(Default::default()).unwrap();
        let response = host.connect().await.send(delete).await.unwrap();
        response.host_problem(405);
        assert_eq!(response.field("allow"), "GET, HEAD");
    }
}

#[tokio::test]
async fn healthcheck_exits_with_1_unless_the_service_is_healthy() {
    let mut host = TestHost::orders(&[]).await;
    let address = host.address.to_string();
    let ran = run(["healthcheck", "--listen", &address]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    // The unspecified address is queried on loopback.
    let unspecified = format!("0.0.0.0:{}", host.address.port());
    assert_eq!(run(["healthcheck", "--listen", &unspecified]).await.code, Some(0));

    let ran = run(["healthcheck", "--listen", &address, "--path", "/nowhere"]).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("404"), "{}", ran.stderr);

    host.signal(Signal::TERM);
    host.exit().await;
    let ran = run(["healthcheck", "--listen", &address]).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains(&address), "{}", ran.stderr);
}

#[tokio::test]
async fn a_draining_host_is_not_ready_but_serves() {
    let mut host = TestHost::orders(&["--drain-delay", "10m"]).await;
    let mut client = host.connect().await;
    assert_eq!(client.create().await.unwrap().status(), 201);

    host.signal(Signal::TERM);
    host.log().wait_for("the drain", |line| line["event"] == "drain.started").await;
    // The phase changes right after the line is logged: ask until it has.
    let ready = within("the phase to change", async {
        loop {
            let response = host.get("/ready").await;
            if response.status() != 200 {
                return response;
            }
        }
    })
    .await;
    assert!(ready.host_problem(503).contains("shutting down"));
    let health = host.get("/health").await;
    assert_eq!((health.status(), health.field("connection")), (200, "close"));
    let created = client.create().await.unwrap();
    assert_eq!((created.status(), created.field("connection")), (201, "close"));
    let created = host.connect().await.create().await.unwrap();
    assert_eq!(created.status(), 201);

    assert_eq!(
        signal_until_exit(&mut host, Signal::INT).await,
        Some(1),
        "a second signal makes it exit immediately"
    );
}

#[tokio::test]
async fn an_idle_service_exits_with_0_on_either_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut host = TestHost::orders(&[]).await;
        let _idle = host.raw().await;
        host.signal(signal);
        assert_eq!(host.exit().await.code(), Some(0));
        host.log().wait_for("the end", |line| line["event"] == "service.stopped").await;
    }
}

/// 32 clients create orders as fast as they can while the service shuts down: every accepted connection gets a response.
#[tokio::test]
async fn a_shutdown_under_load_fails_no_request() {
    let store = tempfile::tempdir().unwrap();
    let location = format!("sqlite:{}", store.path().join("orders.db").display());
    let mut host = TestHost::orders(&["--store", &location, "--drain-delay", "300ms"]).await;
    let address = host.address;
    let (created, counted) = watch::channel(0_usize);
    let mut clients = Vec::new();
    for _ in 0..32 {
        let created = created.clone();
        clients.push(tokio::spawn(async move {
            loop {
                let socket = match TcpStream::connect(address).await {
                    Ok(socket) => socket,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
                        return;
                    }
                };
                create_until_closed(socket, &created).await;
            }
        }));
    }
    let mut counting = counted.clone();
    within("the load", counting.wait_for(|count| *count >= 500)).await.unwrap();
    host.signal(Signal::TERM);

    assert_eq!(host.exit().await.code(), Some(0));
    for client in clients {
        within("a client to be refused", client).await.expect("no request must fail");
    }

    let host = TestHost::orders(&["--store", &location]).await;
    let stored = list_all(&mut host.connect().await).await.len();
    assert_eq!(stored, *counted.borrow(), "stored and acknowledged orders differ");
}

/// Creates orders on one connection until a response announces that it is the last.
async fn create_until_closed(mut socket: TcpStream, created: &watch::Sender<usize>) {
    let request = format!(
        "POST /api/v1/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{ORDER}",
        ORDER.len()
    );
    loop {
        socket.write_all(request.as_bytes()).await.expect("the connection accepts a request");
        let response = within("a response", read_response(&mut socket)).await;
        assert!(response.starts_with("HTTP/1.1 201 Created\r\n"), "{response}");
        created.send_modify(|count| *count += 1);
        if response.contains("\r\nconnection: close\r\n") {
            return;
        }
    }
}

/// Reads one response with a Content-Length.
async fn read_response(socket: &mut TcpStream) -> String {
    let mut response = Vec::new();
    loop {
        let read = socket.read_buf(&mut response).await.expect("the connection returns a response");
        let text = std::str::from_utf8(&response).unwrap();
        assert_ne!(read, 0, "closed after {text:?}");
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return text.to_owned();
            }
        }
    }
}

/// Sends the header of a request that creates an order, and the beginning of its body. Returns the rest.
async fn begin_to_create(socket: &mut TcpStream) -> String {
    let body = format!("{}{ORDER}", " ".repeat(800 * 1024));
    let head = "POST /api/v1/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json";
    let begin = format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len());
    socket.write_all(begin.as_bytes()).await.unwrap();
    body
}

/// Sends `body` slowly until the listener has closed, and then what is left of it. A body that pauses would be rejected.
async fn send_across_the_close(host: &TestHost, socket: &mut TcpStream, body: &str) {
    let sent = AtomicUsize::new(0);
    let slowly = async {
        let mut every = tokio::time::interval(Duration::from_millis(100));
        for part in body.as_bytes().chunks(8 * 1024) {
            every.tick().await;
            // It fits into the kernel's buffers, so that it is written whole.
            socket.write_all(part).await.unwrap();
            sent.fetch_add(part.len(), Ordering::Relaxed);
        }
        std::future::pending::<()>().await;
    };
    let closed = async { while Client::connect(host.address).await.is_ok() {} };
    tokio::select! {
        () = within("the listener to close", closed) => {}
        () = slowly => {}
    }
    socket.write_all(&body.as_bytes()[sent.load(Ordering::Relaxed)..]).await.unwrap();
}

#[tokio::test]
async fn a_request_in_flight_is_answered_after_the_listener_has_closed() {
    let mut host = TestHost::orders(&[]).await;
    let mut socket = host.raw().await;
    let body = begin_to_create(&mut socket).await;
    // A response on a later connection shows that the first one has been accepted.
    assert_eq!(host.get("/health").await.status(), 200);

    host.signal(Signal::TERM);
    send_across_the_close(&host, &mut socket, &body).await;
    let response = read_to_end(&mut socket).await;
    assert!(response.starts_with("HTTP/1.1 201 "), "{response}");
    assert!(response.contains("\r\nconnection: close\r\n"), "{response}");
    assert_eq!(host.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_is_cut_and_the_exit_code_is_1() {
    let options = ["--request-timeout", "10m", "--drain-timeout", "300ms"];
    let mut host = TestHost::fixture("blocks", &options).await;
    let mut socket = host.raw().await;
    socket.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    host.log().wait_for("the request to block", |line| line["message"] == "waiting").await;

    host.signal(Signal::TERM);
    assert_eq!(read_to_end(&mut socket).await, "", "the connection must be cut");
    assert_eq!(host.exit().await.code(), Some(1));
    let cut = host.log().wait_for("the end of the drain", |line| line["event"] == "drain.timed_out").await;
    assert_eq!(cut["level"], "ERROR", "{cut}");
    assert_eq!(cut["cut"], 1, "{cut}");
}

#[tokio::test]
async fn a_second_signal_makes_the_service_exit_immediately() {
    let options = ["--request-timeout", "10m", "--drain-timeout", "10m"];
    let mut host = TestHost::fixture("blocks", &options).await;
    let mut client = host.connect().await;
    let request = tokio::spawn(async move { client.send(http::Request::default()).await });
    host.log().wait_for("the request to block", |line| line["message"] == "waiting").await;

    let began = Instant::now();
    host.signal(Signal::TERM);
    host.log().wait_for("the drain", |line| line["event"] == "drain.started").await;
    assert_eq!(signal_until_exit(&mut host, Signal::TERM).await, Some(1));
    assert!(began.elapsed() >= Duration::from_secs(1), "a repeated signal is the same signal");
    assert!(within("the request to be cut", request).await.unwrap().is_err());
}

/// Some supervisors send a signal to the process and to its group, or two different ones.
#[tokio::test]
async fn a_signal_repeated_within_a_second_cuts_no_request() {
    let mut host = TestHost::orders(&["--drain-timeout", "1m"]).await;
    let mut socket = host.raw().await;
    let body = begin_to_create(&mut socket).await;
    // A response on a later connection shows that the first one has been accepted.
    assert_eq!(host.get("/health").await.status(), 200);

    for signal in [Signal::TERM, Signal::INT] {
        host.signal(signal);
    }
    send_across_the_close(&host, &mut socket, &body).await;
    let response = read_to_end(&mut socket).await;
    assert!(response.starts_with("HTTP/1.1 201 "), "{response}");
    assert_eq!(host.exit().await.code(), Some(0));
}

/// Sends a signal again and again until the process has exited, and returns its exit code. The signals of one second count as one.
pub async fn signal_until_exit(host: &mut TestHost, signal: Signal) -> Option<i32> {
    let pid = host.pid();
    let signals = async {
        loop {
            let _ = kill_process(pid, signal);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        status = host.exit() => status.code(),
        never = signals => never,
    }
}

/// Clients that connect and disconnect again and again leave nothing behind.
#[tokio::test]
async fn disconnected_clients_release_their_connections_and_permits() {
    let host = TestHost::orders(&["--max-connections", "4", "--max-concurrent", "2"]).await;
    let running = Arc::new(AtomicBool::new(true));
    let served = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (address, served, running) = (host.address, Arc::clone(&served), Arc::clone(&running));
        clients.push(tokio::spawn(async move {
            while running.load(Ordering::Relaxed) {
                let mut socket = TcpStream::connect(address).await.unwrap();
                socket.write_all(b"GET /api/v1/orders HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
                // Half of them disconnect before the response, half after its first byte.
                if served.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                    let _ = socket.read(&mut [0]).await;
                }
                if served.load(Ordering::Relaxed) > 200 {
                    running.store(false, Ordering::Relaxed);
                }
            }
        }));
    }
    for client in clients {
        within("the clients to finish", client).await.unwrap();
    }
    within("all permits to be free again", async {
        while host.get("/api/v1/orders").await.status() != 200 {}
    })
    .await;
}
