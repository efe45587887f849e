//! Who is blamed for what: nothing that a client sends, withholds or breaks off counts for or against the module.

use std::{sync::Arc, time::Duration};

use crate::{
    harness::{TestHost, behaving, within},
    rollout::canary::{event, push, record_of},
    wire::{Counts, End, Seen, Wire, counts, get, request},
};

/// A response that takes no time.
const QUICK: &str = "/?length=2&head&write=2&finish";
/// The rows hold for these options.
const OPTIONS: [&str; 6] = ["--request-timeout", "2s", "--max-body", "1KiB", "--max-cpu", "300ms"];

/// One row of the table.
struct Row {
    cause: String,
    bytes: Vec<u8>,
    client: Client,
    gets: Gets,
    blame: Blame,
}

/// What a client does after it has sent its bytes.
#[derive(Clone, Copy)]
enum Client {
    /// It reads the response.
    Reads,
    /// It sends no more, but reads the response.
    HalfCloses,
    /// It leaves at once.
    Leaves,
    /// It leaves once the component prints `here`.
    LeavesTheCall,
    /// It reads the head of the response, and leaves.
    LeavesAfterHead,
    /// It reads the response when the deadline of the request is over.
    ReadsLate,
    /// It does not read until the host cuts the connection.
    DoesNotRead,
}

/// What the client gets.
#[derive(Clone, Copy, Debug)]
enum Gets {
    /// A whole response of the component.
    Response(u16),
    /// A whole response of the host.
    Problem(u16),
    /// The head of a response, and then a reset.
    Cut,
    /// The client is not there to see it, or may get anything.
    Whatever,
}

/// Who is blamed.
#[derive(Clone, Copy, Debug)]
enum Blame {
    /// The module has served one more request.
    Served,
    /// The module has failed once more.
    Module,
    /// The request is not counted at all.
    Nobody,
    /// The module has not failed; the request may be counted.
    NotTheModule,
}

fn row(cause: impl Into<String>, bytes: impl Into<Vec<u8>>, client: Client, gets: Gets, blame: Blame) -> Row {
    Row { cause: cause.into(), bytes: bytes.into(), client, gets, blame }
}

impl Blame {
    fn fits(self, before: &Counts, after: &Counts) -> bool {
        let change = (after.requests - before.requests, after.failures - before.failures);
        match self {
            Self::Served => change == (1, 0),
            Self::Module => change == (1, 1),
            Self::Nobody => change == (0, 0),
            Self::NotTheModule => matches!(change, (0 | 1, 0)),
        }
    }
}

impl Gets {
    fn fits(self, seen: Option<&Result<Seen, End>>) -> bool {
        match (self, seen) {
            (Self::Whatever, _) => true,
            (Self::Problem(status), Some(Ok(seen))) => seen.is_problem(status),
            (Self::Response(status), Some(Ok(seen))) => {
                (seen.head.status, seen.end) == (status, End::Whole) && !seen.is_problem(status)
            }
            (Self::Cut, Some(Ok(seen))) => seen.head.status == 200 && seen.end == End::Reset,
            _ => false,
        }
    }
}

/// Plays all rows, one after the other, and names those that are wrong.
async fn check(options: &[&str], rows: Vec<Row>) {
    let host = TestHost::fixture("frames", options).await;
    let mut wrong = Vec::new();
    for Row { cause, bytes, client, gets, blame } in rows {
        let before = counts(&host).await;
        let seen = play(&host, &bytes, client).await;
        let after = settled(&host, |after| blame.fits(&before, after)).await;
        if !gets.fits(seen.as_ref()) || !blame.fits(&before, &after) {
            let seen = seen.map(|seen| seen.map(|seen| (seen.head, seen.body.len(), seen.end)));
            wrong.push(format!(
                "{cause}: got {seen:?} instead of {gets:?}, blame {blame:?}: {before:?} {after:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Nothing was counted late.
    let last = counts(&host).await;
    assert_eq!(host.get(QUICK).await.status(), 200);
    let after = settled(&host, |after| Blame::Served.fits(&last, after)).await;
    assert!(Blame::Served.fits(&last, &after), "{last:?} {after:?}");
}

/// Does what a client does; returns the response if it read one.
async fn play(host: &TestHost, bytes: &[u8], client: Client) -> Option<Result<Seen, End>> {
    let is_narrow = matches!(client, Client::ReadsLate | Client::DoesNotRead);
    let mut wire = if is_narrow { Wire::narrow(host.address).await } else { Wire::open(host).await };
    let accesses = |line: &serde_json::Value| line["target"] == "access";
    let here = |line: &serde_json::Value| line["message"] == "here";
    let logged = |is_one: fn(&serde_json::Value) -> bool| {
        host.log().lines().iter().filter(|line| is_one(line)).count()
    };
    let (accessed, printed) = (logged(accesses), logged(here));
    wire.send(bytes).await;
    let method = if bytes.starts_with(b"HEAD") { "HEAD" } else { "GET" };
    match client {
        Client::Reads => return Some(wire.response(method).await),
        Client::HalfCloses => {
            wire.half_close().await;
            return Some(wire.response(method).await);
        }
        Client::ReadsLate => {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            return Some(wire.response(method).await);
        }
        Client::Leaves => return None,
        Client::LeavesTheCall => host.log().wait_for_count("the call", printed + 1, here).await,
        Client::LeavesAfterHead => assert_eq!(wire.head().await.expect("a head").status, 200),
        Client::DoesNotRead => {}
    }
    if !matches!(client, Client::DoesNotRead) {
        drop(wire);
    }
    host.log().wait_for_count("the end of the request", accessed + 1, accesses).await;
    None
}

/// Waits for a moment until the counts are as expected; returns what they are then.
async fn settled(host: &TestHost, fits: impl Fn(&Counts) -> bool) -> Counts {
    let mut seen = counts(host).await;
    for _ in 0..100 {
        if fits(&seen) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        seen = counts(host).await;
    }
    seen
}

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
            rows.push(row(format!("{form} {host}"), bytes, Client::Reads, Gets::Problem(400), Blame::Nobody));
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
            rows.push(row(
                format!("{form} {host}"),
                bytes,
                Client::Reads,
                Gets::Response(200),
                Blame::Served,
            ));
        }
    }
    let above = |start: &[u8], end: &[u8]| [start, &[0xff, 0xe9], end].concat();
    let in_value = above(b"GET /?head&finish HTTP/1.1\r\nHost: test\r\nX-Name: ", b"\r\n\r\n");
    let in_host = above(b"GET /?head&finish HTTP/1.1\r\nHost: ", b"\r\n\r\n");
    let in_target = above(b"GET /?head&finish&", b" HTTP/1.1\r\nHost: test\r\n\r\n");
    rows.push(row("a field value above 0x7F", in_value, Client::Reads, Gets::Response(200), Blame::Served));
    rows.push(row("a Host above 0x7F", in_host, Client::Reads, Gets::Problem(400), Blame::Nobody));
    rows.push(row("a target above 0x7F", in_target, Client::Reads, Gets::Problem(400), Blame::Nobody));
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
            ("read&or=413&head&finish", Gets::Response(413)),
            // axum; wstd and Hono; the echo of wasmtime; JavaScript.
            ("read&or=400&head&finish", Gets::Problem(413)),
            ("read&or=500&head&finish", Gets::Problem(413)),
            ("read&or=200&head&finish", Gets::Problem(413)),
            ("read&or=trap&head&finish", Gets::Problem(413)),
            ("read&print=no-response", Gets::Problem(413)),
            ("read&hang", Gets::Whatever),
            ("head&write=5&wait=300&read&finish", Gets::Cut),
            ("head&write=5&wait=300&read&or=trap", Gets::Cut),
            // A component that does not read it knows that there is nothing to read it for.
            ("status=404&head&finish", Gets::Response(404)),
            ("status=405&head&write=5&finish", Gets::Response(405)),
        ] {
            rows.push(row(
                format!("{how}: {script}"),
                upload(script, fields, &body),
                Client::Reads,
                gets,
                Blame::Nobody,
            ));
        }
    }
    check(&OPTIONS, rows).await;
}

#[tokio::test]
async fn a_client_that_breaks_off_is_not_counted() {
    let part = "POST /?read&head&finish HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello";
    let answered = "/?head&write=5&finish&wait=300";
    check(
        &OPTIONS,
        vec![
            row("half a head", "GET / HTTP/1.1\r\nHo", Client::Leaves, Gets::Whatever, Blame::Nobody),
            row(
                "half a head, half-closed",
                "GET / HTTP/1.1\r\nHo",
                Client::HalfCloses,
                Gets::Problem(400),
                Blame::Nobody,
            ),
            row("half a body", part, Client::Leaves, Gets::Whatever, Blame::Nobody),
            row("half a body, half-closed", part, Client::HalfCloses, Gets::Whatever, Blame::Nobody),
            row(
                "a request, half-closed",
                get(QUICK),
                Client::HalfCloses,
                Gets::Whatever,
                Blame::NotTheModule,
            ),
            row(
                "before the head",
                get("/?print=here&hang"),
                Client::LeavesTheCall,
                Gets::Whatever,
                Blame::Nobody,
            ),
            row(
                "in an announced body",
                get("/?length=9&head&write=5&hang"),
                Client::LeavesAfterHead,
                Gets::Whatever,
                Blame::Nobody,
            ),
            row(
                "in a stream that is silent",
                get("/?head&write=5&hang"),
                Client::LeavesAfterHead,
                Gets::Whatever,
                Blame::Nobody,
            ),
            row(
                "in a stream that is not",
                get("/?head&ticks=50"),
                Client::LeavesAfterHead,
                Gets::Whatever,
                Blame::Nobody,
            ),
            row(
                "after the body",
                get(answered),
                Client::LeavesAfterHead,
                Gets::Whatever,
                Blame::NotTheModule,
            ),
            row("after the response", get(QUICK), Client::LeavesAfterHead, Gets::Whatever, Blame::Served),
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
            row("half a body by the deadline", part, Client::Reads, Gets::Problem(408), Blame::Nobody),
            row(
                "no body after 100",
                upload(script, expect, ""),
                Client::Reads,
                Gets::Problem(408),
                Blame::Nobody,
            ),
            row(
                "a body after 100",
                upload(script, expect, "hello"),
                Client::Reads,
                Gets::Response(200),
                Blame::Served,
            ),
            row(
                "HEAD of a length",
                head("length=5&head&write=5&finish"),
                Client::Reads,
                Gets::Response(200),
                Blame::Served,
            ),
            row(
                "HEAD of a large body",
                head("head&write=3000000&finish"),
                Client::Reads,
                Gets::Response(200),
                Blame::Served,
            ),
            row(
                "HEAD of an endless stream",
                head("head&ticks=50"),
                Client::Reads,
                Gets::Response(200),
                Blame::Nobody,
            ),
            row(
                "reading after the deadline",
                large.clone(),
                Client::ReadsLate,
                Gets::Response(200),
                Blame::NotTheModule,
            ),
            row("not reading", large, Client::DoesNotRead, Gets::Whatever, Blame::NotTheModule),
        ],
    )
    .await;
}

/// The guest waits for its reader, longer than a request may take.
#[tokio::test]
async fn a_wait_for_a_reader_is_not_counted_against_the_module() {
    let large = get("/?length=8388608&head&write=8388608&finish");
    let rows = vec![
        row("not reading", large.clone(), Client::DoesNotRead, Gets::Whatever, Blame::NotTheModule),
        row(
            "not reading a stream",
            get("/?head&write=8388608&finish"),
            Client::DoesNotRead,
            Gets::Whatever,
            Blame::NotTheModule,
        ),
    ];
    check(&[&OPTIONS[..], &["--max-answers", "1MiB"]].concat(), rows).await;
}

/// The counter-check: a module is blamed for what it does.
#[tokio::test]
async fn a_module_is_blamed_for_its_own_faults() {
    let rows = [
        ("trap", Gets::Problem(500)),
        ("head&write=5&wait=300&trap", Gets::Cut),
        ("head&write=5&finish&wait=100&trap", Gets::Response(200)),
        ("hang", Gets::Problem(504)),
        ("compute=60000", Gets::Problem(504)),
        ("head&write=5&wait=100&hang", Gets::Cut),
        ("head&write=5&finish&hang", Gets::Response(200)),
        ("print=no-response", Gets::Problem(502)),
        ("status=500&head&finish", Gets::Response(500)),
        ("length=10&head&write=5&finish", Gets::Problem(502)),
        ("length=10&head&write=5&wait=300&finish", Gets::Cut),
        ("head&write=5&wait=300&drop", Gets::Cut),
        ("status=103&head&finish", Gets::Problem(502)),
    ];
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|(script, gets)| row(script, get(&format!("/?{script}")), Client::Reads, gets, Blame::Module))
        .collect();
    // A module that fails without having read a body within the limit has nobody else to blame.
    let small = upload("read&trap", "Content-Length: 5\r\n", "hello");
    rows.push(row("a trap after a body", small, Client::Reads, Gets::Problem(500), Blame::Module));
    check(&OPTIONS, rows).await;
}

/// A component as JavaScript's are: it traps on a `Host` that is no host, and on a body that it cannot read.
#[tokio::test(flavor = "multi_thread")]
async fn a_good_release_is_kept_while_clients_send_invalid_requests() {
    const EACH: usize = 120;
    let folder = tempfile::tempdir().unwrap();
    let host = Arc::new(TestHost::start(&behaving("version=1", folder.path()), &[]).await);
    let terms = "canary=50%25&window=6s&watch=1s&control=20%25";
    let module = push(&host, &behaving("version=2 strict", folder.path()), terms).await;
    event(&host, &module, "rollout.trial_started").await;
    let others = tokio::spawn({
        let host = Arc::clone(&host);
        async move {
            let mut client = host.connect().await;
            for _ in 0..4 * EACH {
                assert_eq!(client.get("/").await.status(), 200);
            }
        }
    });
    for _ in 0..EACH {
        for bytes in [
            "GET / HTTP/1.1\r\nHost: a:b:c\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2000000\r\n\r\n",
        ] {
            // The component that is replaced responds without reading.
            let mut wire = Wire::open(&host).await;
            wire.send(bytes).await;
            wire.response("GET").await.expect("a response");
        }
    }
    within("the other clients", others).await.unwrap();
    let ends = ["rollout.rolled_back", "rollout.settled"];
    let is_end =
        |line: &serde_json::Value| ends.iter().any(|end| line["event"] == *end) && line["module"] == *module;
    let end = host.log().wait_for("the end of the rollout", is_end).await;
    let record = record_of(&host, &module).await;
    assert_eq!(end["event"], "rollout.settled", "{end} {record}");
    assert_eq!(record["state"], "serving", "{record}");
    assert_eq!(record["trial"]["module"]["failures"], 0, "{record}");
}
