//! What is uploaded to the operators' API, and must not be taken: too much, too slowly, at the wrong time, or no module.

use std::fs;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    admin::requests::problem,
    harness::{Answer, TestHost, fixture, within},
    module::signing::Signed,
    raw::{RawAnswer, answers},
    rollout::{
        canary::{ask, serving},
        swap::compiled,
    },
};

const PUT: &str = "PUT /v1/modules HTTP/1.1\r\nHost: localhost\r\n";

async fn connect(host: &TestHost) -> TcpStream {
    TcpStream::connect(host.admin.unwrap()).await.unwrap()
}

async fn only_answer(socket: &mut TcpStream) -> RawAnswer {
    let answers = within("an answer", answers(socket)).await;
    let [answer] = &answers[..] else { panic!("{answers:?}") };
    answer.clone()
}

/// Announced, it is refused before any of it is read.
#[tokio::test]
async fn a_gigabyte_that_is_announced() {
    let host = TestHost::fixture("answers", &[]).await;
    for length in ["1073741824", "67108865"] {
        let mut socket = connect(&host).await;
        socket.write_all(format!("{PUT}Content-Length: {length}\r\n\r\n").as_bytes()).await.unwrap();
        let answer = only_answer(&mut socket).await;
        assert_eq!(answer.status, 413, "{answer:?}");
        assert!(answer.body.contains("at most 64 MiB"), "{answer:?}");
    }
    // No place is left taken.
    assert_eq!(ask(&host, "PUT", "/v1/modules", &b"x"[..]).await.status(), 422);
}

/// Not announced, it is refused when it is too much, and not held.
#[tokio::test]
async fn a_gigabyte_that_is_not_announced() {
    /// What a component may have, and some for all else.
    const MAX_GROWTH_KIB: u64 = 80 * 1024;
    let host = TestHost::fixture("answers", &[]).await;
    let before = host.peak_memory_kib();
    let mut socket = connect(&host).await;
    socket.write_all(format!("{PUT}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    let (mut answer, mut body) = socket.split();
    let chunk = [b"100000\r\n".as_slice(), &vec![0; 1 << 20], b"\r\n"].concat();
    let send = async {
        for _ in 0..1024 {
            // Once it is refused, the host does not read for ever.
            if body.write_all(&chunk).await.is_err() {
                break;
            }
        }
    };
    let mut text = Vec::new();
    let receive = async {
        let _ = answer.read_to_end(&mut text).await;
    };
    within("a gigabyte", async { tokio::join!(send, receive) }).await;
    let text = String::from_utf8_lossy(&text);
    assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("at most 64 MiB"), "{text}");
    let grown = host.peak_memory_kib() - before;
    assert!(grown < MAX_GROWTH_KIB, "{grown} KiB");
    assert_eq!(&host.get("/").await.body[..], b"hello\n");
}

#[tokio::test]
async fn a_slow_upload_keeps_nobody_waiting() {
    let host = TestHost::fixture("answers", &[]).await;
    let component = fs::read(fixture("remembers")).unwrap();
    let mut slow = connect(&host).await;
    let (first, rest) = component.split_at(1000);
    slow.write_all(format!("{PUT}Content-Length: {}\r\n\r\n", component.len()).as_bytes()).await.unwrap();
    slow.write_all(first).await.unwrap();
    // Not before the host has begun to read it.
    let busy = async {
        loop {
            let answer = ask(&host, "PUT", "/v1/modules", &b"x"[..]).await;
            if answer.status() == 409 {
                return problem(&answer, 409);
            }
        }
    };
    assert!(within("the upload to be begun", busy).await.contains("Another module"));
    assert_eq!(ask(&host, "GET", "/v1/modules", "").await.status(), 200);
    assert_eq!(&host.get("/").await.body[..], b"hello\n");
    slow.write_all(rest).await.unwrap();
    assert_eq!(only_answer(&mut slow).await.status, 202);
    host.log().wait_for("its promotion", |line| line["event"] == "rollout.promoted").await;
}

/// One that breaks off gives its turn back.
#[tokio::test]
async fn an_upload_that_breaks_off() {
    let host = TestHost::fixture("answers", &[]).await;
    let mut socket = connect(&host).await;
    socket.write_all(format!("{PUT}Content-Length: 1000\r\n\r\nhalf").as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let _ = within("the end", answers(&mut socket)).await;
    let component = fs::read(fixture("remembers")).unwrap();
    assert_eq!(within("its turn", put_when_free(&host, &component)).await.status(), 202);
}

#[tokio::test]
async fn what_is_no_module_changes_nothing() {
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
        let answer = within("its turn", put_when_free(&host, &bytes)).await;
        assert_eq!(answer.status(), 202, "{answer:?}");
        let decided = async {
            loop {
                let view = ask(&host, "GET", answer.field("location"), "").await.json();
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

/// A turn is over a little after it is told what became of it.
async fn put_when_free(host: &TestHost, bytes: &[u8]) -> Answer {
    loop {
        let answer = ask(host, "PUT", "/v1/modules", bytes.to_vec()).await;
        if answer.status() != 409 {
            return answer;
        }
    }
}

#[tokio::test]
async fn a_signed_module_that_was_altered_by_one_bit() {
    let signed = Signed::new().await;
    let keys = signed.path("public");
    let whole = fs::read(signed.path("orders.wasm")).unwrap();
    let host = TestHost::start(signed.path("orders.wasm").as_ref(), &["--trusted-keys", &keys]).await;
    let before = serving(&host).await;
    // In the signature, at the beginning, in the middle, at the end.
    for place in [8 + 118, 200, whole.len() / 2, whole.len() - 1] {
        let mut altered = whole.clone();
        altered[place] ^= 1;
        let detail = problem(&ask(&host, "PUT", "/v1/modules", altered).await, 422);
        assert!(detail.contains("signed"), "byte {place}: {detail}");
    }
    let unsigned = fs::read(fixture("remembers")).unwrap();
    let detail = problem(&ask(&host, "PUT", "/v1/modules", unsigned).await, 422);
    assert!(detail.contains("it is not signed"), "{detail}");
    assert_eq!(serving(&host).await, before);
    // Unaltered it is the one that serves.
    let answer = ask(&host, "PUT", "/v1/modules", whole).await;
    assert_eq!((answer.status(), &answer.json()["serving"]), (200, &true.into()));
}
