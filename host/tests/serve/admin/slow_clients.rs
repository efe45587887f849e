//! Operators' clients that send or read slowly, or not at all: they keep no command from being accepted.

use std::{
    fs,
    time::{Duration, Instant},
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::interval,
};

use crate::{
    admin::{followers::PLACES, requests::problem},
    harness::{BEARER, TestHost, fixture, within},
    rollout::canary::{ask, promoted, push, serving},
};

/// An upload of 10 KiB/s, which would take two minutes.
#[tokio::test]
async fn an_upload_that_trickles_ends_and_others_are_told_whose_it_is() {
    let host = TestHost::fixture("answers", &[]).await;
    let mut socket = TcpStream::connect(host.admin.unwrap()).await.unwrap();
    let client = socket.local_addr().unwrap();
    let began = Instant::now();
    let head =
        format!("PUT /v1/modules HTTP/1.1\r\nHost: localhost\r\n{BEARER}Content-Length: 1200000\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut response, mut body) = socket.into_split();
    let trickle = tokio::spawn(async move {
        let mut ticks = interval(Duration::from_millis(100));
        loop {
            ticks.tick().await;
            if body.write_all(&[0; 1024]).await.is_err() {
                break;
            }
        }
    });
    let told = async {
        loop {
            let response = ask(&host, "PUT", "/v1/modules", &b"x"[..]).await;
            // Until the host has begun to receive the upload, the other push is received.
            if response.status() == 422 {
                continue;
            }
            let detail = problem(&response, 409);
            assert!(detail.contains(&format!("from operator ({client}) for ")), "{detail}");
            if detail.contains("for 2 s:") {
                return;
            }
        }
    };
    within("a rejection that says for how long", told).await;

    let mut text = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut response, &mut text);
    let _ = within("the end of the upload", read).await;
    let text = String::from_utf8_lossy(&text).into_owned();
    let elapsed = began.elapsed();
    trickle.abort();
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    for says in ["arrives too slowly, at ", " KiB/s on average over 5 s", "at least 64 KiB/s"] {
        assert!(text.contains(says), "no {says:?} in {text}");
    }
    assert!((5..15).contains(&elapsed.as_secs()), "{elapsed:?}");
    push(&host, &fixture("remembers"), "").await;
}

/// Sends a request from a client with a small buffer, which then reads nothing.
async fn send_and_read_nothing(host: &TestHost, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let mut socket = socket.connect(host.admin.unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{BEARER}Last-Event-ID: 0\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

/// The status of a request of which only the head is read.
async fn status(host: &TestHost, path: &str) -> u16 {
    let request = http::Request::get(path).body(http_body_util::Full::default()).unwrap();
    host.operator().await.head(request).await.unwrap().status().as_u16()
}

/// Clients that follow 512 events, and clients that ask for a long list, all without reading a byte.
#[tokio::test]
async fn commands_are_accepted_while_clients_that_read_nothing_fill_their_places() {
    /// All events that are kept: two for each rejected push.
    const REJECTED: u32 = 256;
    /// Modules in the folder, for a list of several hundred KiB.
    const KEPT: u32 = 2000;
    let folder = tempfile::tempdir().unwrap();
    let host = TestHost::fixture("answers", &["--module-dir", &folder.path().display().to_string()]).await;
    let before = serving(&host).await;
    let module = push(&host, &fixture("remembers"), "").await;
    promoted(&host, &module).await;
    for number in 0..REJECTED {
        let push = ask(&host, "PUT", "/v1/modules", format!("no component {number}").into_bytes());
        assert_eq!(within("a rejection", push).await.status(), 422);
    }
    for number in 0..KEPT {
        fs::write(folder.path().join(format!("{number:064x}.wasm")), "").unwrap();
    }

    let mut clients = Vec::new();
    for _ in 0..PLACES {
        clients.push(send_and_read_nothing(&host, "/v1/events").await);
    }
    for _ in 0..8 {
        clients.push(send_and_read_nothing(&host, "/v1/modules").await);
    }
    // More readers find no place, and a rollback does.
    let full = async {
        loop {
            let response = ask(&host, "GET", &format!("/v1/modules/{before}"), "").await;
            if response.status() == 503 {
                return response;
            }
        }
    };
    let response = within("all places to be taken", full).await;
    let detail = problem(&response, 503);
    assert!(
        detail.starts_with("The admin API already handles 20 requests, 16 of them to follow events"),
        "{detail}"
    );
    assert!(detail.contains("kept for commands"), "{detail}");
    assert_eq!(response.field("retry-after"), "1");
    let rolled_back = ask(&host, "POST", "/v1/rollback", "").await;
    assert_eq!((rolled_back.status(), rolled_back.json()["module"].as_str()), (200, Some(&*before)));
    let pushed = ask(&host, "PUT", "/v1/modules", fs::read(fixture("prints")).unwrap()).await;
    assert_eq!(pushed.status(), 202, "{pushed:?}");
    assert_eq!(status(&host, "/v1/events").await, 503);

    // None of them keeps its place for long, though its connection is open.
    let free = async {
        while status(&host, "/v1/modules").await != 200 || status(&host, "/v1/events").await != 200 {}
    };
    within("free places", free).await;
    let mut followers = Vec::new();
    for _ in 0..PLACES {
        let request = http::Request::get("/v1/events").body(http_body_util::Full::default()).unwrap();
        let follows = async {
            loop {
                let response = host.operator().await.head(request.clone()).await.unwrap();
                if response.status() == 200 {
                    return response;
                }
            }
        };
        followers.push(within("a free place", follows).await);
    }
    drop(clients);
}
