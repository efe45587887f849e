//! Uploads that the admin API must reject: too large, too slow, at the wrong time, or not a module.

use std::fs;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    admin::requests::problem,
    harness::{BEARER, TestHost, TestResponse, fixture, within},
    module::signing::Signed,
    raw::{RawResponse, read_responses},
    rollout::{
        canary::{ask, serving},
        swap::compiled,
    },
};

const PUT: &str = "PUT /v1/modules HTTP/1.1\r\nHost: localhost\r\n";

async fn connect(host: &TestHost) -> TcpStream {
    TcpStream::connect(host.admin.unwrap()).await.unwrap()
}

async fn only_response(socket: &mut TcpStream) -> RawResponse {
    let responses = within("a response", read_responses(socket)).await;
    let [response] = &responses[..] else { panic!("{responses:?}") };
    response.clone()
}

/// The host rejects it before it reads any of it.
#[tokio::test]
async fn an_announced_gigabyte_is_rejected_unread() {
    let host = TestHost::fixture("answers", &[]).await;
    for length in ["1073741824", "67108865"] {
        let mut socket = connect(&host).await;
        socket.write_all(format!("{PUT}{BEARER}Content-Length: {length}\r\n\r\n").as_bytes()).await.unwrap();
        let response = only_response(&mut socket).await;
        assert_eq!(response.status, 413, "{response:?}");
        assert!(response.body.contains("at most 64 MiB"), "{response:?}");
    }
    // The rejected uploads have released their permits.
    assert_eq!(ask(&host, "PUT", "/v1/modules", &b"x"[..]).await.status(), 422);
}

/// The host rejects it at the limit, and does not buffer more than that.
#[tokio::test]
async fn an_unannounced_gigabyte_is_rejected_at_the_limit() {
    /// The limit of a component, with a margin.
    const MAX_GROWTH_KIB: u64 = 80 * 1024;
    let host = TestHost::fixture("answers", &[]).await;
    let before = host.peak_memory_kib();
    let mut socket = connect(&host).await;
    socket.write_all(format!("{PUT}{BEARER}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    let (mut response, mut body) = socket.split();
    let chunk = [b"100000\r\n".as_slice(), &vec![0; 1 << 20], b"\r\n"].concat();
    let send = async {
        for _ in 0..1024 {
            // After the rejection, the host reads for a limited time.
            if body.write_all(&chunk).await.is_err() {
                break;
            }
        }
    };
    let mut text = Vec::new();
    let receive = async {
        let _ = response.read_to_end(&mut text).await;
    };
    within("the rejection of a gigabyte", async { tokio::join!(send, receive) }).await;
    let text = String::from_utf8_lossy(&text);
    assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("at most 64 MiB"), "{text}");
    let grown = host.peak_memory_kib() - before;
    assert!(grown < MAX_GROWTH_KIB, "{grown} KiB");
    assert_eq!(&host.get("/").await.body[..], b"hello\n");
}

#[tokio::test]
async fn a_slow_upload_delays_no_other_request() {
    let host = TestHost::fixture("answers", &[]).await;
    let component = fs::read(fixture("remembers")).unwrap();
    let mut slow = connect(&host).await;
    let (first, rest) = component.split_at(1000);
    slow.write_all(format!("{PUT}{BEARER}Content-Length: {}\r\n\r\n", component.len()).as_bytes())
        .await
        .unwrap();
    slow.write_all(first).await.unwrap();
    // Wait until the host has started to read the upload.
    let busy = async {
        loop {
            let response = ask(&host, "PUT", "/v1/modules", &b"x"[..]).await;
            if response.status() == 409 {
                return problem(&response, 409);
            }
        }
    };
    let detail = within("the start of the upload", busy).await;
    let client = slow.local_addr().unwrap();
    let expected =
        format!("Another component has been arriving from {client} for 0 s: try again in a moment.");
    assert_eq!(detail, expected);
    assert_eq!(ask(&host, "GET", "/v1/modules", "").await.status(), 200);
    assert_eq!(&host.get("/").await.body[..], b"hello\n");
    slow.write_all(rest).await.unwrap();
    assert_eq!(only_response(&mut slow).await.status, 202);
    host.log().wait_for("its promotion", |line| line["event"] == "rollout.promoted").await;
}

/// The next upload gets the permit.
#[tokio::test]
async fn an_upload_that_ends_early_releases_its_permit() {
    let host = TestHost::fixture("answers", &[]).await;
    let mut socket = connect(&host).await;
    socket.write_all(format!("{PUT}{BEARER}Content-Length: 1000\r\n\r\nhalf").as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let _ = within("the end of the connection", read_responses(&mut socket)).await;
    let component = fs::read(fixture("remembers")).unwrap();
    assert_eq!(within("a free permit", put_when_free(&host, &component)).await.status(), 202);
}

#[tokio::test]
async fn an_upload_that_is_not_a_module_changes_nothing() {
    let host = TestHost::fixture("answers", &[]).await;
    let before = serving(&host).await;
    let (native, _) = compiled().await;
    let good = fs::read(fixture("remembers")).unwrap();
    for (bytes, says) in [
        (Vec::new(), "empty"),
        (b"#!/bin/sh\nrm -rf /\n".to_vec(), "not WebAssembly"),
        (vec![0xa5; 1 << 20], "not WebAssembly"),
        (b"\0asm\x01\x00\x00\x00".to_vec(), "a core module"),
        (fs::read(native).unwrap(), "push the component"),
        (b"\x7fELF\x02\x01\x01".to_vec(), "native code"),
    ] {
        let detail = problem(&ask(&host, "PUT", "/v1/modules", bytes).await, 422);
        assert!(detail.contains(says), "no {says:?} in {detail}");
    }
    for (bytes, says) in [
        (fs::read(fixture("imports_mail")).unwrap(), "acme:mail/send@1.0.0"),
        (fs::read(fixture("traps_at_start")).unwrap(), "it does not start"),
        (good[..good.len() / 2].to_vec(), "does not compile"),
    ] {
        let response = within("a free permit", put_when_free(&host, &bytes)).await;
        assert_eq!(response.status(), 202, "{response:?}");
        let decided = async {
            loop {
                let view = ask(&host, "GET", response.field("location"), "").await.json();
                if view["state"] != "checking" {
                    return view;
                }
            }
        };
        let view = within("a decision", decided).await;
        assert_eq!(view["state"], "refused", "{view}");
        assert!(view["why"].as_str().unwrap().contains(says), "no {says:?} in {view}");
    }
    assert_eq!(serving(&host).await, before);
    assert_eq!(&host.get("/").await.body[..], b"hello\n");
}

/// Pushes a component until it gets the permit, which is released shortly after the previous outcome is reported.
async fn put_when_free(host: &TestHost, bytes: &[u8]) -> TestResponse {
    loop {
        let response = ask(host, "PUT", "/v1/modules", bytes.to_vec()).await;
        if response.status() != 409 {
            return response;
        }
    }
}

#[tokio::test]
async fn a_signed_module_with_one_altered_bit_is_rejected() {
    let signed = Signed::new().await;
    let keys = signed.path("public");
    let whole = fs::read(signed.path("orders.wasm")).unwrap();
    let host = TestHost::start(signed.path("orders.wasm").as_ref(), &["--trusted-keys", &keys]).await;
    let before = serving(&host).await;
    // A bit in the signature, at the start, in the middle, and at the end.
    for offset in [8 + 118, 200, whole.len() / 2, whole.len() - 1] {
        let mut altered = whole.clone();
        altered[offset] ^= 1;
        let detail = problem(&ask(&host, "PUT", "/v1/modules", altered).await, 422);
        assert!(detail.contains("signed"), "byte {offset}: {detail}");
    }
    let unsigned = fs::read(fixture("remembers")).unwrap();
    let detail = problem(&ask(&host, "PUT", "/v1/modules", unsigned).await, 422);
    assert!(detail.contains("it is not signed"), "{detail}");
    assert_eq!(serving(&host).await, before);
    // The unaltered module is the serving one.
    let response = ask(&host, "PUT", "/v1/modules", whole).await;
    assert_eq!((response.status(), &response.json()["serving"]), (200, &true.into()));
}
