//! How responses are framed: what the component announces must be what it sends, and the end comes when it says so.

use crate::{
    harness::TestHost,
    wire::{Counts, End, Seen, Wire, get, request, wait_for_counts},
};

/// Sends a request for a script of the fixture, with a body if the script reads one.
async fn ask(host: &TestHost, id: &str, script: &str) -> Result<Seen, End> {
    let mut wire = Wire::open(host).await;
    let fields = format!("X-Request-Id: {id}\r\n");
    if script.starts_with("read") {
        let length = "Content-Length: 5\r\n";
        wire.send(request("POST", &format!("/?{script}"), &format!("{fields}{length}")) + "hello").await;
    } else {
        wire.send(request("GET", &format!("/?{script}"), &fields)).await;
    }
    wire.response("GET").await
}

/// The log lines that say why a request failed.
async fn failures(host: &TestHost, id: &str) -> Vec<String> {
    host.log().access(id).await;
    let lines = host.log().lines().into_iter();
    let failures = lines.filter(|line| line["request_id"] == id && line["level"] == "ERROR");
    failures.map(|line| line["failure"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Asks for each script, and checks the response. Each is the module's failure, which the log explains once, without a word of
/// a trap.
async fn check_failures(scripts: &[&str], fits: impl Fn(&str, &Result<Seen, End>) -> bool) {
    let host = TestHost::fixture("frames", &[]).await;
    let mut wrong = Vec::new();
    for (number, script) in (1..).zip(scripts) {
        let id = format!("failure-{number}");
        let seen = ask(&host, &id, script).await;
        let logged = failures(&host, &id).await;
        if !fits(script, &seen) || logged.len() != 1 || logged[0].contains("trap") {
            wrong.push(format!("{script}: {seen:?}, logged {logged:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all = u64::try_from(scripts.len()).unwrap();
    let all_failed =
        |counts: &Counts| (counts.requests, counts.failures, counts.bad_answers) == (all, all, all);
    let counts = wait_for_counts(&host, "every response to be counted", all_failed).await;
    assert_eq!(counts.traps, 0, "{counts:?}");
}

#[tokio::test]
async fn a_response_that_is_known_to_be_incomplete_before_its_head_is_sent_yields_502() {
    let scripts = [
        "length=10&head&write=5&finish",
        "length=10&head&write=5&drop",
        "length=10&head&write=5",
        "length=10&head&drop",
        "length=10&head&finish",
        "length=10&head",
        "length=10&bare",
        "head&drop",
        "head&write=5&drop",
        "head",
        "status=103&head&finish",
        "read&length=10&head&write=5&finish",
        "read&length=10&head&drop",
        "read&length=10&bare",
    ];
    check_failures(&scripts, |_, seen| seen.as_ref().is_ok_and(|seen| seen.is_problem(502))).await;
}

/// Only a reset is an error for every client.
#[tokio::test]
async fn a_response_that_turns_out_incomplete_after_its_head_resets_the_connection() {
    let scripts = [
        "length=10&head&write=5&wait=300&finish",
        "length=10&head&write=5&wait=300&drop",
        "length=10&head&write=5&wait=300",
        "head&write=5&wait=300&drop",
        "head&write=5&wait=300",
        "read&length=10&head&write=5&wait=300&finish",
    ];
    let is_cut = |seen: &Seen| seen.head.status == 200 && seen.body == b"xxxxx" && seen.end == End::Reset;
    check_failures(&scripts, |_, seen| seen.as_ref().is_ok_and(is_cut)).await;
}

#[tokio::test]
async fn a_response_longer_than_announced_is_never_whole() {
    let scripts = [
        "length=5&head&write=10&finish",
        "length=5&head&write=5&write=5&finish",
        "length=5&head&write=3&write=5&finish",
        "length=0&head&write=5&finish",
        "read&length=5&head&write=10&finish",
        "read&length=5&head&write=5&write=5&finish",
        "length=5&head&write=3&wait=300&write=5&finish",
        "read&length=5&head&write=3&wait=300&write=5&finish",
    ];
    check_failures(&scripts, |script, seen| match seen {
        Ok(seen) if script.contains("wait") => seen.head.status == 200 && seen.end == End::Reset,
        Ok(seen) => seen.is_problem(502) || seen.end == End::Reset,
        Err(end) => *end == End::Reset,
    })
    .await;
}

/// The client has all announced bytes before the host can know.
#[tokio::test]
async fn what_follows_a_whole_response_is_not_sent_and_counts_as_a_failure() {
    let host = TestHost::fixture("frames", &[]).await;
    let mut wire = Wire::get(&host, "/?length=5&head&write=5&wait=300&write=5&finish").await;
    let seen = wire.response("GET").await.expect("a head");
    assert_eq!((seen.head.status, seen.body.as_slice()), (200, &b"xxxxx"[..]));
    wait_for_counts(&host, "the failure", |counts| (counts.requests, counts.failures) == (1, 1)).await;
}

#[tokio::test]
async fn a_trap_is_sent_as_500_before_the_head_and_resets_the_connection_after_it() {
    let host = TestHost::fixture("frames", &[]).await;
    for script in ["head&trap", "length=5&head&trap", "head&write=5&trap"] {
        let seen = ask(&host, "before", script).await.expect("a head");
        assert!(seen.is_problem(500), "{script}: {seen:?}");
    }
    for script in ["head&write=5&wait=300&trap", "length=10&head&write=5&wait=300&trap"] {
        let seen = ask(&host, "after", script).await.expect("a head");
        assert_eq!((seen.head.status, seen.end), (200, End::Reset), "{script}: {seen:?}");
    }
    // The response is complete, but the module has failed all the same.
    let seen = ask(&host, "late", "head&write=5&finish&wait=300&trap").await.expect("a head");
    assert_eq!((seen.head.status, seen.end), (200, End::Whole), "{seen:?}");
    wait_for_counts(&host, "the traps", |counts| (counts.requests, counts.traps) == (6, 6)).await;
}

/// Plays scripts that must get a response without content, and any of these lengths.
async fn check_no_content(host: &TestHost, cases: &[(&str, &str, u16, &[Option<&str>])]) {
    for (method, script, status, lengths) in cases {
        let mut wire = Wire::open(host).await;
        wire.send(request(method, &format!("/?{script}"), "")).await;
        let seen = wire.response(method).await.unwrap_or_else(|end| panic!("{method} {script}: {end:?}"));
        assert_eq!((seen.head.status, seen.end), (*status, End::Whole), "{method} {script}: {seen:?}");
        assert!(lengths.contains(&seen.head.field("content-length")), "{method} {script}: {seen:?}");
        assert!(seen.body.is_empty(), "{method} {script}: {seen:?}");
        // Whatever followed the head would now be taken for a response.
        wire.send(get("/?length=2&head&write=2&finish")).await;
        let next = wire.response("GET").await.unwrap_or_else(|end| panic!("after {script}: {end:?}"));
        assert_eq!((next.head.status, next.body.as_slice()), (200, &b"xx"[..]), "after {script}");
    }
}

#[tokio::test]
async fn a_204_has_no_length_and_a_205_no_content() {
    let host = TestHost::fixture("frames", &[]).await;
    let cases: [(_, _, _, &[_]); 6] = [
        ("GET", "status=204&length=5&head&write=5&finish", 204, &[None]),
        ("GET", "status=204&length=0&head&finish", 204, &[None]),
        ("GET", "status=204&head&write=5&finish", 204, &[None]),
        ("GET", "status=204&head&finish", 204, &[None]),
        ("GET", "status=205&length=5&head&write=5&finish", 205, &[None, Some("0")]),
        ("GET", "status=205&head&write=5&finish", 205, &[None, Some("0")]),
    ];
    check_no_content(&host, &cases).await;
}

/// Their `Content-Length` is that of another response.
#[tokio::test]
async fn a_304_or_a_response_to_head_may_announce_what_it_does_not_send() {
    let host = TestHost::fixture("frames", &[]).await;
    let cases: [(_, _, _, &[_]); 6] = [
        ("GET", "status=304&length=5&head&finish", 304, &[Some("5")]),
        ("GET", "status=304&head&finish", 304, &[None]),
        ("HEAD", "length=5&head&write=5&finish", 200, &[Some("5")]),
        ("HEAD", "length=5&head&finish", 200, &[Some("5")]),
        ("HEAD", "length=5&bare", 200, &[Some("5")]),
        ("HEAD", "head&write=5&finish", 200, &[None]),
    ];
    check_no_content(&host, &cases).await;
    wait_for_counts(&host, "no failure", |counts| (counts.requests, counts.failures) == (12, 0)).await;
}

#[tokio::test]
async fn a_response_that_is_complete_before_its_head_is_sent_gets_a_length() {
    let host = TestHost::fixture("frames", &[]).await;
    for (script, length) in [
        ("head&finish", 0),
        ("head&write=5&finish", 5),
        ("head&write=5&write=7&finish", 12),
        ("status=404&head&write=5&finish", 5),
    ] {
        let seen = ask(&host, "complete", script).await.expect("a head");
        assert_eq!(seen.head.field("content-length"), Some(&*length.to_string()), "{script}: {seen:?}");
        assert_eq!(seen.head.field("transfer-encoding"), None, "{script}: {seen:?}");
        assert_eq!((seen.body.len(), seen.end), (length, End::Whole), "{script}: {seen:?}");
    }
}

/// `Connection: keep-alive` would make an HTTP/1.0 client wait for more.
#[tokio::test]
async fn a_response_of_unknown_length_to_http_1_0_ends_with_its_connection() {
    let host = TestHost::fixture("frames", &[]).await;
    for field in ["", "Connection: keep-alive\r\n"] {
        let mut wire = Wire::open(&host).await;
        let target = "/?head&write=5&wait=300&write=5&finish";
        wire.send(format!("GET {target} HTTP/1.0\r\nHost: test\r\n{field}\r\n")).await;
        let seen = wire.response("GET").await.expect("a head");
        assert_eq!((seen.head.version.as_str(), seen.head.status), ("HTTP/1.0", 200), "{seen:?}");
        assert_eq!(seen.head.field("transfer-encoding"), None, "{seen:?}");
        assert_ne!(seen.head.field("connection"), Some("keep-alive"), "{seen:?}");
        assert_eq!((seen.body.len(), seen.end), (10, End::Whole), "{seen:?}");
    }
}

#[tokio::test]
async fn a_response_ends_when_the_component_finishes_it() {
    let host = TestHost::fixture("frames", &["--max-cpu", "5s", "--max-concurrent", "1"]).await;
    for (number, work) in (1..).zip(["wait=2000", "compute=1000"]) {
        let seen =
            ask(&host, "early", &format!("head&write=5&finish&{work}&print=over")).await.expect("a head");
        assert_eq!((seen.head.status, seen.end), (200, End::Whole), "{seen:?}");
        let is_over = |line: &serde_json::Value| line["message"] == "over";
        let over = host.log().lines().iter().filter(|line| is_over(line)).count();
        assert_eq!(over, number - 1, "the end of the response has waited for the call: {work}");
        // The call keeps its permit.
        assert_eq!(host.get("/?head&finish").await.status(), 503, "{work}");
        host.log().wait_for_count("the work to end", number, is_over).await;
        crate::harness::within("the permit", async {
            while host.get("/?head&finish").await.status() != 200 {}
        })
        .await;
    }
}

#[tokio::test]
async fn work_after_a_response_has_no_more_time_than_the_request() {
    let host = TestHost::fixture("frames", &["--request-timeout", "1s", "--max-cpu", "300ms"]).await;
    for (number, work) in (1..).zip(["hang", "compute=60000"]) {
        let seen = ask(&host, "early", &format!("head&write=5&finish&{work}")).await.expect("a head");
        assert_eq!((seen.head.status, seen.end), (200, End::Whole), "{seen:?}");
        let counted = |counts: &Counts| (counts.requests, counts.failures) == (number, number);
        wait_for_counts(&host, work, counted).await;
    }
}
