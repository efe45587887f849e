//! Connections to the admin port without an operator's request: they delay nobody.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use crate::{
    harness::{TestHost, fixture, read_to_end, within},
    raw::read_responses,
    rollout::canary::{ask, promoted, push, serving},
};

/// How long a rollback may take beside them.
const PROMPT: Duration = Duration::from_secs(2);

/// Opens idle connections to the admin port all the time, and keeps the newest ones open. `opened` counts them.
async fn keep_reopening(host: std::net::SocketAddr, open: usize, opened: Arc<AtomicUsize>) {
    let mut connections = VecDeque::new();
    loop {
        if let Ok(connection) = TcpStream::connect(host).await {
            connections.push_back(connection);
            opened.fetch_add(1, Ordering::Relaxed);
        }
        if connections.len() > open {
            connections.pop_front();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_is_prompt_beside_idle_connections_that_are_opened_again_and_again() {
    let host = TestHost::fixture("answers", &[]).await;
    let admin = host.admin.unwrap();
    let before = serving(&host).await;
    let module = push(&host, &fixture("remembers"), "").await;
    promoted(&host, &module).await;

    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(admin).await.unwrap());
    }
    let opened = Arc::new(AtomicUsize::new(0));
    let mut openers = JoinSet::new();
    for _ in 0..2 {
        openers.spawn(keep_reopening(admin, 150, Arc::clone(&opened)));
    }
    let busy = async {
        while opened.load(Ordering::Relaxed) < 600 {
            tokio::task::yield_now().await;
        }
    };
    within("600 more connections", busy).await;

    let began = Instant::now();
    let response = ask(&host, "POST", "/v1/rollback", "").await;
    assert_eq!((response.status(), response.json()["module"].as_str()), (200, Some(&*before)));
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    let response = ask(&host, "GET", "/v1/modules", "").await;
    assert_eq!(response.status(), 200);
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    openers.abort_all();
}

/// A head that trickles gains no time, and nor does a client that was rejected.
#[tokio::test]
async fn a_connection_without_an_operators_request_ends_after_a_second() {
    let host = TestHost::fixture("answers", &[]).await;
    let began = Instant::now();
    let mut all = JoinSet::new();
    for sent in ["", "GET /v1/modules HTTP/1.1\r\nHo", "GET /v1/modules HTTP/1.1\r\nHost: localhost\r\n\r\n"]
    {
        let mut socket = TcpStream::connect(host.admin.unwrap()).await.unwrap();
        socket.write_all(sent.as_bytes()).await.unwrap();
        all.spawn(async move { (sent, read_to_end(&mut socket).await) });
    }
    for (sent, received) in all.join_all().await {
        let expected = if sent.ends_with("\r\n\r\n") { "HTTP/1.1 401 " } else { "" };
        assert!(
            received.starts_with(expected) && received.is_empty() == expected.is_empty(),
            "{sent}: {received}"
        );
    }
    assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
}

/// The limit holds for all of the head, and whoever sends it; far beyond it, the head does not even fit into the buffer.
#[tokio::test]
async fn a_head_beyond_32_kib_is_refused() {
    let host = TestHost::fixture("answers", &[]).await;
    for long in [33_000, 65_000].map(|length| "A".repeat(length)) {
        for head in [
            format!("{long} /v1/rollback HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!("GET /v1/{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!("GET /v1/modules HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}\r\n\r\n"),
        ] {
            let mut socket = TcpStream::connect(host.admin.unwrap()).await.unwrap();
            // The host may close the connection before it has read everything.
            let _ = socket.write_all(head.as_bytes()).await;
            let responses = within("a response", read_responses(&mut socket)).await;
            let [response] = &responses[..] else { panic!("{responses:?}") };
            assert_eq!((response.status, response.field("connection")), (431, Some("close")), "{response:?}");
        }
    }
    assert_eq!(ask(&host, "GET", "/v1/modules", "").await.status(), 200);
    assert!(!host.log().lines().iter().any(|line| line["path"].to_string().len() > 300));
}
