//! Requests to the admin API: authentication, events, and errors.

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::{
    harness::{BEARER, TestHost, TestResponse, fixture, run, run_with, within},
    raw::{RawResponse, read_responses},
    rollout::canary::ask,
};

/// The admin token of these tests.
pub const TOKEN: &str = "7c1f0c5b2a9d4e6f8a3b";

/// Checks the form of a problem document, and returns its detail.
pub fn problem(response: &TestResponse, status: u16) -> String {
    assert_eq!(response.status(), status, "{response:?}");
    assert_eq!(response.field("content-type"), "application/problem+json");
    assert_eq!(response.field("cache-control"), "no-store");
    let problem = response.json();
    assert_eq!((&problem["type"], &problem["status"]), (&"about:blank".into(), &status.into()));
    assert_eq!(problem["title"], response.head.status.canonical_reason().unwrap());
    problem["detail"].as_str().expect("a detail").to_owned()
}

/// Sends a GET request with these header fields, unchanged, and reads the response.
async fn get(host: &TestHost, path: &str, fields: &str) -> RawResponse {
    let mut socket = tokio::net::TcpStream::connect(host.admin.unwrap()).await.unwrap();
    socket.write_all(format!("GET {path} HTTP/1.1\r\n{fields}\r\n").as_bytes()).await.unwrap();
    let responses = within("a response", read_responses(&mut socket)).await;
    let [response] = &responses[..] else { panic!("{path} {fields}: {responses:?}") };
    response.clone()
}

#[tokio::test]
async fn every_request_needs_the_token() {
    let host = TestHost::with_token(&fixture("answers"), &[], TOKEN).await;
    let wrong = "7c1f0c5b2a9d4e6f8a3c";
    for (fields, status) in [
        (String::new(), 401),
        (format!("Authorization: Bearer {TOKEN}\r\n"), 200),
        (format!("authorization: bearer {TOKEN}\r\n"), 200),
        (format!("Authorization: BEARER  {TOKEN}\r\n"), 200),
        (format!("Authorization: Bearer {wrong}\r\n"), 401),
        (format!("Authorization: Bearer {TOKEN}0\r\n"), 401),
        (format!("Authorization: Bearer {}\r\n", TOKEN.trim_start_matches('7')), 401),
        ("Authorization: Bearer \r\n".to_owned(), 401),
        ("Authorization: Bearer\r\n".to_owned(), 401),
        (format!("Authorization: Basic {TOKEN}\r\n"), 401),
        (format!("Authorization: {TOKEN}\r\n"), 401),
        (format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {wrong}\r\n"), 401),
        (format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n"), 401),
        (format!("Authorization: Bearer {TOKEN}\r\nOrigin: http://127.0.0.1\r\n"), 403),
        (format!("Cookie: token={TOKEN}\r\nX-Token: {TOKEN}\r\n"), 401),
    ] {
        let response = get(&host, "/v1/modules", &format!("Host: any.example\r\n{fields}")).await;
        assert_eq!(response.status, status, "{fields}: {response:?}");
        assert_eq!(response.field("www-authenticate").is_some(), status == 401, "{response:?}");
        assert!(!response.body.contains(TOKEN), "{response:?}");
    }
    // The token is not accepted in a query, and every path needs it.
    for path in ["/v1/modules?token=", "/v1/events?access_token=", "/v1/rollback?", "/", "/v1/modules/"] {
        let response = get(&host, &format!("{path}{TOKEN}"), "Host: 127.0.0.1\r\n").await;
        assert_eq!(response.status, 401, "{path}: {response:?}");
        assert!(!response.body.contains(TOKEN), "{response:?}");
    }
    let response = ask(&host, "PUT", "/v1/modules", std::fs::read(fixture("remembers")).unwrap()).await;
    assert!(problem(&response, 401).contains("token"));
    assert_eq!(problem(&ask(&host, "POST", "/v1/rollback", "").await, 401), problem(&response, 401));
    let rejected = |line: &Value| line["event"] == "admin.request_rejected";
    host.log().wait_for_count("the rejections in the log", 19, rejected).await;
    assert!(!host.log().lines().iter().any(|line| line.to_string().contains("Bearer 7c")));
    assert_eq!(host.get("/").await.status(), 200);
}

/// A web page in a browser on the same machine is not an operator.
#[tokio::test]
async fn without_a_token_local_clients_are_accepted_and_web_pages_are_not() {
    let host = TestHost::fixture("answers", &["--admin-listen", "127.0.0.1:0"]).await;
    let port = host.admin.unwrap().port();
    for (fields, status) in [
        (format!("Host: 127.0.0.1:{port}\r\n"), 200),
        (format!("Host: localhost:{port}\r\n"), 200),
        ("Host: LOCALHOST\r\n".to_owned(), 200),
        ("Host: [::1]\r\n".to_owned(), 200),
        (format!("Host: evil.example:{port}\r\n"), 403),
        ("Host: localhost.evil.example\r\n".to_owned(), 403),
        ("Host: 127.0.0.1.evil.example\r\n".to_owned(), 403),
        ("Host: localhost\r\nOrigin: http://evil.example\r\n".to_owned(), 403),
        ("Host: localhost\r\nOrigin: null\r\n".to_owned(), 403),
        (String::new(), 403),
    ] {
        let response = get(&host, "/v1/modules", &fields).await;
        assert_eq!(response.status, status, "{fields}: {response:?}");
    }
}

#[tokio::test]
async fn the_host_does_not_start_with_an_open_admin_port() {
    let component = fixture("answers").display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("short"), "secret\n").unwrap();
    std::fs::write(at("spaces"), "correct horse battery staple").unwrap();
    std::fs::write(at("bytes"), b"\xff\xfe").unwrap();
    let start = ["serve", "--component", &component, "--store", "memory:", "--listen", "127.0.0.1:0"];
    for (options, says) in [
        (vec!["--admin-listen", "0.0.0.0:0"], vec!["--admin-listen 0.0.0.0:0", "--admin-token-file"]),
        (vec!["--admin-listen", "[::]:0"], vec!["ORDERS_ADMIN_TOKEN"]),
        (vec!["--admin-listen", "somewhere"], vec!["127.0.0.1:9090", "`off`"]),
        (vec!["--admin-token-file", &at("missing")], vec!["missing", "No such file"]),
        (vec!["--admin-token-file", &at("short")], vec!["short", "at least 16"]),
        (vec!["--admin-token-file", &at("spaces")], vec!["without spaces"]),
        (vec!["--admin-token-file", &at("bytes")], vec!["bytes", "UTF-8"]),
    ] {
        let ran = run(start.iter().chain(&options)).await;
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
        assert!(!ran.stdout.contains("serving") && !ran.stderr.contains("horse"), "{}", ran.stderr);
        for part in says {
            assert!(ran.stderr.contains(part), "no {part:?} in {}", ran.stderr);
        }
    }
    let ran = run_with(&[("ORDERS_ADMIN_TOKEN", "hunter2")], start).await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("ORDERS_ADMIN_TOKEN") && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
    assert_eq!(TestHost::fixture("answers", &["--admin-listen", "off"]).await.admin, None);
    let host = TestHost::with_token(&fixture("answers"), &["--admin-listen", "0.0.0.0:0"], TOKEN).await;
    assert!(host.admin.is_some());
}

#[tokio::test]
async fn errors_name_what_is_supported() {
    let host = TestHost::fixture("answers", &[]).await;
    for (method, path, allow) in [
        ("POST", "/v1/modules", "GET, PUT"),
        ("DELETE", "/v1/modules", "GET, PUT"),
        ("GET", "/v1/rollback", "POST"),
        ("PUT", "/v1/events", "GET"),
        ("DELETE", "/v1/modules/00", "GET"),
        ("GET", "/v1/modules/00/activate", "POST"),
    ] {
        let response = ask(&host, method, path, "").await;
        assert!(problem(&response, 405).contains(allow), "{method} {path}");
        assert_eq!(response.field("allow"), allow, "{method} {path}");
    }
    let unknown = format!("/v1/modules/{}", "0".repeat(64));
    for path in
        ["/", "/v1", "/v2/modules", "/v1/modules/", "/v1/modules/00", &unknown, "/v1/modules/00/x", "/health"]
    {
        problem(&ask(&host, "GET", path, "").await, 404);
    }
    let detail = problem(&ask(&host, "POST", "/v1/rollback", "").await, 409);
    assert!(detail.contains("no module to roll back to"), "{detail}");
    for (query, says) in [
        ("canary=100%25", "canary: at most 99 %"),
        ("canary=", "0 to 99"),
        ("window=0", "`30s`"),
        ("max-window=0s", "longer than zero"),
        ("on-unproven=wait", "`promote` or `rollback`"),
        ("watch=soon", "`500ms`"),
        ("control=51", "1 to 50"),
        ("ignore-client-errors", "`true` or `false`"),
        ("force=yes", "canary, window, max-window, on-unproven, watch, control, ignore-client-errors"),
    ] {
        let response = ask(&host, "PUT", &format!("/v1/modules?{query}"), "").await;
        let detail = problem(&response, 400);
        assert!(detail.contains(says), "{query}: {detail}");
    }
    // The public port does not serve the admin API.
    assert_eq!(&host.get("/v1/modules").await.body[..], b"hello\n");
}

/// Reads events up to the first whose step is `wanted`.
async fn read_events(body: &mut Incoming, wanted: &str) -> Vec<Value> {
    let mut text = String::new();
    loop {
        let frame = within("an event", body.frame()).await.expect("another event").unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        if text.contains(&format!("\"step\":\"{wanted}\"")) && text.ends_with("\n\n") {
            break;
        }
    }
    let events = text.split_terminator("\n\n").map(|block| {
        let (id, data) = block.split_once('\n').unwrap();
        let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(id, format!("id: {}", event["number"]));
        event
    });
    events.collect()
}

async fn events(host: &TestHost, last: &str) -> Incoming {
    let request = Request::get("/v1/events").header("last-event-id", last).body(Full::default()).unwrap();
    let response = host.operator().await.head(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body()
}

#[tokio::test]
async fn events_are_sent_in_order_and_can_be_resumed() {
    let host = TestHost::fixture("answers", &["--smoke", "GET /"]).await;
    let mut stream = events(&host, "0").await;
    let start = read_events(&mut stream, "promoted").await;
    let steps = |events: &[Value]| -> Vec<String> {
        events.iter().map(|event| event["step"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(steps(&start), ["received", "compiled", "loaded", "smoked", "promoted"]);

    let component = std::fs::read(fixture("remembers")).unwrap();
    let response = ask(&host, "PUT", "/v1/modules", component).await;
    let accepted = response.json();
    assert_eq!(
        (response.status(), &accepted["serving"], &accepted["event"]),
        (202, &false.into(), &5.into())
    );
    let module = accepted["module"].as_str().unwrap();
    assert_eq!(response.field("location"), format!("/v1/modules/{module}"));
    let swap = read_events(&mut stream, "promoted").await;
    assert_eq!(steps(&swap), steps(&start));
    assert!(swap.iter().all(|event| event["module"] == module));
    let numbers: Vec<_> = start.iter().chain(&swap).map(|event| event["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());

    // A client that resumes misses no event and gets none twice, even with the number of an earlier process.
    assert_eq!(read_events(&mut events(&host, "7").await, "promoted").await, swap[2..]);
    let anew = read_events(&mut events(&host, "1000").await, "promoted").await;
    assert_eq!(anew[..start.len()], start);
    for invalid in ["-1", "x", ""] {
        let request =
            Request::get("/v1/events").header("last-event-id", invalid).body(Full::default()).unwrap();
        problem(&host.operator().await.send(request).await.unwrap(), 400);
    }
    // The API describes the module under its hash.
    let view = ask(&host, "GET", &format!("/v1/modules/{module}"), "").await;
    assert_eq!((view.status(), &view.json()["state"]), (200, &"serving".into()));
}

#[tokio::test]
async fn no_module_is_accepted_during_the_drain() {
    let host = TestHost::fixture("answers", &["--drain-delay", "10m"]).await;
    host.signal(Signal::TERM);
    host.log().wait_for("the drain", |line| line["event"] == "drain.started").await;
    let component = std::fs::read(fixture("remembers")).unwrap();
    let detail = problem(&ask(&host, "PUT", "/v1/modules", component).await, 503);
    assert!(detail.contains("shutting down"), "{detail}");
    assert_eq!(ask(&host, "GET", "/v1/modules", "").await.status(), 200);
    assert_eq!(&host.get("/").await.body[..], b"hello\n");
}

#[tokio::test]
async fn a_connection_serves_one_request() {
    let host = TestHost::fixture("answers", &[]).await;
    // Two requests in one write: the host does not read the second.
    let mut socket = tokio::net::TcpStream::connect(host.admin.unwrap()).await.unwrap();
    let request = format!("GET /v1/modules HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n");
    socket
        .write_all(
            format!("{request}POST /v1/rollback HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n").as_bytes(),
        )
        .await
        .unwrap();
    let responses = within("a response", read_responses(&mut socket)).await;
    assert_eq!(responses.len(), 1, "{responses:?}");
    assert_eq!((responses[0].status, responses[0].field("connection")), (200, Some("close")));
}
