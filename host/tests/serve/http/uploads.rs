//! Bodies that arrive slowly or not at all, and the memory for all of them.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{interval, timeout},
};

use crate::{
    harness::{ORDER, TestHost, post, read_to_end, within},
    raw::POST,
};

/// Longer than any body may pause.
const LONG: [&str; 2] = ["--request-timeout", "50s"];
const MIB: usize = 1 << 20;

/// An order that is followed by white space.
fn padded(size: usize) -> String {
    format!("{ORDER}{}", " ".repeat(size - ORDER.len()))
}

/// Begins a request whose body has `size` bytes, and sends so many of them.
async fn upload(host: &TestHost, size: usize, sent: usize) -> TcpStream {
    let mut socket = host.raw().await;
    let head = format!("{POST}Connection: close\r\nContent-Length: {size}\r\n\r\n");
    // The host may have rejected it before all is sent.
    let mut body = padded(size);
    body.truncate(sent);
    let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
    socket
}

/// Sends a body at this rate, and reads the response, which may come before the end of the body. Returns also how long this took,
/// and the longest pause of this client itself.
async fn send_at(host: &TestHost, kib_per_second: usize, size: usize) -> (String, Duration, Duration) {
    let mut socket = upload(host, size, ORDER.len()).await;
    let began = Instant::now();
    let (mut reader, mut writer) = socket.split();
    let rest = " ".repeat(size - ORDER.len());
    let (mut last, mut pause) = (Instant::now(), Duration::ZERO);
    let sending = async {
        let mut every = interval(Duration::from_millis(100));
        for part in rest.as_bytes().chunks(kib_per_second * 1024 / 10) {
            every.tick().await;
            pause = pause.max(last.elapsed());
            last = Instant::now();
            if writer.write_all(part).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut response = Vec::new();
    tokio::select! {
        () = sending => {}
        _ = within("a response", reader.read_to_end(&mut response)) => {}
    }
    (String::from_utf8(response).unwrap(), began.elapsed(), pause)
}

/// As [`send_at`], again if the machine has stopped this client for as long as a body may pause, or nearly.
async fn send_steadily(host: &TestHost, kib_per_second: usize, size: usize) -> (String, Duration) {
    loop {
        let (response, took, pause) = send_at(host, kib_per_second, size).await;
        if pause < Duration::from_secs(1) {
            return (response, took);
        }
    }
}

#[tokio::test]
async fn a_body_that_pauses_gets_408_long_before_its_deadline() {
    let host = TestHost::orders(&LONG).await;
    let began = Instant::now();
    let mut fast_at_first = upload(&host, MIB, MIB - 1).await;
    let mut slow_at_first = upload(&host, 100, 0).await;
    for socket in [&mut fast_at_first, &mut slow_at_first] {
        let response = read_to_end(socket).await;
        assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
        assert!(response.contains("at least 32 KiB/s"), "{response}");
        assert!(response.contains("connection: close"), "{response}");
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(20)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_body_needs_32_kib_per_second() {
    let host = TestHost::orders(&LONG).await;
    let (slow, fast) = tokio::join!(send_at(&host, 20, 400 * 1024), send_steadily(&host, 48, 400 * 1024));
    let (response, took, _) = slow;
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert!(took < Duration::from_secs(18), "it was cut after {took:?}, when it was nearly complete");
    let (response, took) = fast;
    assert!(response.starts_with("HTTP/1.1 201 "), "{response}");
    assert!(took > Duration::from_secs(6), "its rate was not tested: {took:?}");
}

/// They announce all the memory for bodies, and send nearly all of that.
#[tokio::test]
async fn stalled_uploads_prevent_no_small_body() {
    const UPLOADS: usize = 64;
    let host = TestHost::orders(&LONG).await;
    let mut uploads = Vec::new();
    for _ in 0..UPLOADS {
        uploads.push(upload(&host, MIB, MIB - 1).await);
    }
    // Until the first of them is cut, nothing is given back.
    let mut client = host.connect().await;
    let mut created = 0;
    let stalled = async {
        let mut first = [0; 12];
        uploads[0].read_exact(&mut first).await.unwrap();
    };
    let creating = async {
        loop {
            assert_eq!(client.create().await.unwrap().status(), 201, "after {created} creates");
            created += 1;
        }
    };
    let _ = within("the first upload to be cut", async {
        tokio::select! { () = stalled => {}, () = creating => {} }
    })
    .await;
    assert!(created > 0);
    let mut statuses = Vec::new();
    for socket in &mut uploads[1..] {
        statuses.push(read_to_end(socket).await.get(9..12).map(str::to_owned));
    }
    // Those that found no room were rejected at once.
    for status in statuses {
        assert!(matches!(status.as_deref(), Some("408" | "503")), "{status:?}");
    }
}

/// Without a reserve, because the largest body takes everything.
#[tokio::test]
async fn the_bodies_of_all_requests_together_are_bounded() {
    let host =
        TestHost::orders(&[&LONG[..], &["--max-body", "64KiB", "--max-buffered", "64KiB"]].concat()).await;
    let large = || post("/api/v1/orders", padded(8 * 1024));
    let hoard = || upload(&host, 64 * 1024, 60 * 1024);
    let mut client = host.connect().await;
    let mut hoarder = hoard().await;
    // As soon as the host has read the hoard, there is room for 4 KiB at most, until it is cut.
    let (rejected, small) = within("a rejected body", async {
        loop {
            let response = client.send(large()).await.unwrap();
            if response.status() == 503 {
                return (response, client.create().await.unwrap());
            }
            // The two requests race for the memory, and either may be rejected; or the host was too slow.
            if timeout(Duration::ZERO, hoarder.readable()).await.is_ok() {
                hoarder = hoard().await;
            }
        }
    })
    .await;
    rejected.host_problem(503);
    assert_eq!(small.status(), 201, "a small body still fits");

    assert!(read_to_end(&mut hoarder).await.starts_with("HTTP/1.1 408 "));
    assert_eq!(host.connect().await.send(large()).await.unwrap().status(), 201);
}
