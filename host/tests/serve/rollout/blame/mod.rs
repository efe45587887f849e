//! Who is blamed for what: nothing that a client sends, withholds or breaks off is a failure of the module.

mod table;

use std::time::Duration;

use crate::{
    harness::TestHost,
    wire::{QUICK, Wire, counts, get, request},
};
use table::{
    Blame::{Module, Nobody, NotTheModule, Served},
    Client::{
        DoesNotRead, HalfCloses, Leaves, LeavesAfterHead, LeavesTheCall, Reads, ReadsLate, ResetsAfterHead,
    },
    Gets::{Cut, Problem, Response, Whatever},
    check, row,
};

/// The rows hold for these options.
const OPTIONS: [&str; 6] = ["--request-timeout", "2s", "--max-body", "1KiB", "--max-cpu", "300ms"];

/// A request whose body the component reads, with these fields.
fn upload(script: &str, fields: &str, body: &str) -> String {
    request("POST", &format!("/?{script}"), fields) + body
}

#[tokio::test]
async fn an_invalid_request_is_not_counted() {
    let with_host = |host: &str| format!("GET {QUICK} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let absolute = |host: &str| format!("GET http://{host}{QUICK} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut rows = Vec::new();
    for host in
        ["a:b:c", "::1", "[::1", "[::1]x", "x:-1", "x:99999", "a%", "a%zz", ":80", "1.2.3.256", "a b", "a@b"]
    {
        for (form, bytes) in [("Host", with_host(host)), ("target", absolute(host))] {
            rows.push(row(format!("{form} {host}"), bytes, Reads, Problem(400), Nobody));
        }
    }
    for host in [
        "test",
        "test:80",
        "test:",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:80",
        "a-b.example.com",
        "xn--bcher-kva.example",
    ] {
        for (form, bytes) in [("Host", with_host(host)), ("target", absolute(host))] {
            rows.push(row(format!("{form} {host}"), bytes, Reads, Response(200), Served));
        }
    }
    let above = |start: &[u8], end: &[u8]| [start, &[0xff, 0xe9], end].concat();
    let in_value = above(b"GET /?head&finish HTTP/1.1\r\nHost: test\r\nX-Name: ", b"\r\n\r\n");
    let in_host = above(b"GET /?head&finish HTTP/1.1\r\nHost: ", b"\r\n\r\n");
    let in_target = above(b"GET /?head&finish&", b" HTTP/1.1\r\nHost: test\r\n\r\n");
    rows.push(row("a field value above 0x7F", in_value, Reads, Response(200), Served));
    rows.push(row("a Host above 0x7F", in_host, Reads, Problem(400), Nobody));
    rows.push(row("a target above 0x7F", in_target, Reads, Problem(400), Nobody));
    check(&OPTIONS, rows).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_counted() {
    let announced = ("announced", "Content-Length: 2000000\r\n", String::new());
    let chunks = format!("400\r\n{}\r\n1\r\nx\r\n", "x".repeat(1024));
    let arriving = ("arriving", "Transfer-Encoding: chunked\r\n", chunks);
    let expected = ("expected", "Expect: 100-continue\r\nContent-Length: 2000000\r\n", String::new());
    let mut rows = Vec::new();
    for (how, fields, body) in [announced, arriving, expected] {
        for (script, gets) in [
            ("read&or=413&head&finish", Response(413)),
            // axum; wstd and Hono; the echo of wasmtime; JavaScript.
            ("read&or=400&head&finish", Problem(413)),
            ("read&or=500&head&finish", Problem(413)),
            ("read&or=200&head&finish", Problem(413)),
            ("read&or=trap&head&finish", Problem(413)),
            ("read&print=no-response", Problem(413)),
            ("read&hang", Whatever),
            ("head&write=5&wait=300&read&finish", Cut),
            ("head&write=5&wait=300&read&or=trap", Cut),
            // A component that does not read it knows that there is nothing to read it for.
            ("status=404&head&finish", Response(404)),
            ("status=405&head&write=5&finish", Response(405)),
        ] {
            rows.push(row(format!("{how}: {script}"), upload(script, fields, &body), Reads, gets, Nobody));
        }
    }
    check(&OPTIONS, rows).await;
}

/// The host notices within a second or two that a client has left before it has a response.
#[tokio::test]
async fn a_client_that_leaves_a_call_is_not_counted_against_the_module() {
    let lasting = "/?wait=2500&length=2&head&write=2&finish";
    check(
        &["--request-timeout", "40s"],
        vec![
            row("before the head", get("/?print=here&hang"), LeavesTheCall, Whatever, Nobody),
            row("half-closed before the head", get(lasting), HalfCloses, Response(200), Served),
        ],
    )
    .await;
}

/// A module is judged by the head of its response. What its client does then changes nothing.
#[tokio::test]
async fn a_client_that_breaks_off_is_not_counted_against_the_module() {
    let part = "POST /?read&head&finish HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello";
    let answered = "/?head&write=5&finish&wait=300";
    check(
        &OPTIONS,
        vec![
            row("half a head", "GET / HTTP/1.1\r\nHo", Leaves, Whatever, Nobody),
            row("half a head, half-closed", "GET / HTTP/1.1\r\nHo", HalfCloses, Problem(400), Nobody),
            row("half a body", part, Leaves, Whatever, Nobody),
            row("half a body, half-closed", part, HalfCloses, Problem(400), Nobody),
            row("a request, half-closed", get(QUICK), HalfCloses, Response(200), Served),
            row("in a body", get("/?length=9&head&write=5&hang"), ResetsAfterHead, Whatever, Served),
            row("in a stream that is silent", get("/?head&write=5&hang"), LeavesAfterHead, Whatever, Served),
            row("in a stream that is not", get("/?head&ticks=50"), LeavesAfterHead, Whatever, Served),
            row("after the body", get(answered), LeavesAfterHead, Whatever, NotTheModule),
            row("after the response", get(QUICK), LeavesAfterHead, Whatever, Served),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_client_that_is_slow_is_not_counted_against_the_module() {
    let large = get("/?length=8388608&head&write=8388608&finish");
    let script = "read&or=500&length=2&head&write=2&finish";
    let expect = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    let part = upload(script, "Content-Length: 10\r\n", "hello");
    let head = |script: &str| request("HEAD", &format!("/?{script}"), "");
    check(
        &OPTIONS,
        vec![
            row("half a body by the deadline", part, Reads, Problem(408), Nobody),
            row("no body after 100", upload(script, expect, ""), Reads, Problem(408), Nobody),
            row("a body after 100", upload(script, expect, "hello"), Reads, Response(200), Served),
            row("HEAD of a length", head("length=5&head&write=5&finish"), Reads, Response(200), Served),
            row("HEAD of a large body", head("head&write=3000000&finish"), Reads, Response(200), Served),
            row("HEAD of an endless stream", head("head&ticks=50"), Reads, Response(200), Served),
            row("reading after the deadline", large.clone(), ReadsLate, Response(200), NotTheModule),
            row("not reading", large, DoesNotRead, Whatever, NotTheModule),
        ],
    )
    .await;
}

/// The guest waits for its reader, longer than a request may take.
#[tokio::test]
async fn a_wait_for_a_reader_is_not_counted_against_the_module() {
    let large = get("/?length=8388608&head&write=8388608&finish");
    let rows = vec![
        row("not reading", large.clone(), DoesNotRead, Whatever, NotTheModule),
        row("not reading a stream", get("/?head&write=8388608&finish"), DoesNotRead, Whatever, NotTheModule),
    ];
    check(&[&OPTIONS[..], &["--max-answers", "1MiB"]].concat(), rows).await;
}

/// The counter-check: a module is blamed for what it does.
#[tokio::test]
async fn a_module_is_blamed_for_its_own_faults() {
    let rows = [
        ("trap", Problem(500)),
        ("head&write=5&wait=300&trap", Cut),
        ("head&write=5&finish&wait=100&trap", Response(200)),
        ("hang", Problem(504)),
        ("compute=60000", Problem(504)),
        ("head&write=5&wait=100&hang", Cut),
        ("head&write=5&finish&hang", Response(200)),
        ("print=no-response", Problem(502)),
        ("status=500&head&finish", Response(500)),
        ("length=10&head&write=5&finish", Problem(502)),
        ("length=10&head&write=5&wait=300&finish", Cut),
        ("head&write=5&wait=300&drop", Cut),
        ("status=103&head&finish", Problem(502)),
    ];
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|(script, gets)| row(script, get(&format!("/?{script}")), Reads, gets, Module))
        .collect();
    // The body was whole, so the trap is the module's own.
    let small = upload("read&trap", "Content-Length: 5\r\n", "hello");
    rows.push(row("a trap after a body", small, Reads, Problem(500), Module));
    check(&OPTIONS, rows).await;
}

/// The body arrives just before the deadline, so that its call has hardly any time.
#[tokio::test]
async fn a_body_that_arrives_late_is_not_counted_against_the_module() {
    // Fast enough that the body is not rejected.
    const PARTS: usize = 25;
    const PART: usize = 16 * 1024;
    let host = TestHost::fixture("frames", &["--request-timeout", "4s"]).await;
    let mut wire = Wire::open(&host).await;
    let length = format!("Content-Length: {}\r\n", PARTS * PART);
    wire.send(upload("read&wait=3000&head&finish", &length, "")).await;
    let mut every = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..PARTS {
        every.tick().await;
        wire.send("x".repeat(PART)).await;
    }
    let seen = wire.response("POST").await.expect("a response");
    assert!(seen.is_problem(504), "{seen:?}");
    assert_eq!(counts(&host).await.failures, 0);
}
