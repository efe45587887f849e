//! Clients that leave, read slowly or do not read: they cost neither the module nor other clients.

use std::time::{Duration, Instant};

use crate::{
    harness::{TestHost, within},
    wire::{End, QUICK, Wire, counts, get, request, wait_for_counts},
};

/// A response that is announced and never arrives, so that its call ends only with its deadline, or with its client.
const ENDLESS: &str = "/?length=1000&head&write=5&hang";
/// How soon the permits of clients that have left must be free: a second, another one for a request that such a client had
/// pipelined, and time for a busy machine. It is far less than the time that a request may take in these tests.
const SOON: Duration = Duration::from_secs(15);
const LONG: [&str; 2] = ["--request-timeout", "40s"];

/// Waits until a request is served, and returns how long that took.
async fn until_served(host: &TestHost) -> Duration {
    let began = Instant::now();
    within("a request to be served", async { while host.get(QUICK).await.status() != 200 {} }).await;
    began.elapsed()
}

/// Waits until calls that have just begun compute no more, and only wait.
async fn until_calm(host: &TestHost) {
    let calm = async {
        let mut served = 0;
        while served < 200 {
            served = if host.get(QUICK).await.status() == 200 { served + 1 } else { 0 };
        }
    };
    within("requests to be served", calm).await;
}

/// Opens a connection, sends `bytes` and reads the head of the response, until it is not 503.
async fn admitted(host: &TestHost, bytes: &str) -> Wire {
    loop {
        let mut wire = Wire::open(host).await;
        wire.send(bytes).await;
        let head = wire.head().await.expect("a head");
        if head.status != 503 {
            assert_eq!(head.status, 200, "{head:?}");
            return wire;
        }
    }
}

/// Fills a host with clients that send `bytes` and read the head of the response. All of them leave, again and again.
async fn check_that_permits_come_back(bytes: &str, leave: fn(Wire)) {
    let host = TestHost::fixture("frames", &[&LONG[..], &["--max-concurrent", "4"]].concat()).await;
    let mut clients = Vec::new();
    loop {
        let mut wire = Wire::open(&host).await;
        wire.send(bytes).await;
        match wire.head().await.expect("a head").status {
            200 => clients.push(wire),
            503 => break,
            status => panic!("{status}"),
        }
    }
    // Streams may have half of the permits.
    let all = clients.len();
    assert!(matches!(all, 2 | 4), "{all} clients were admitted");
    for round in 0..3 {
        clients.drain(..).for_each(leave);
        let began = Instant::now();
        for _ in 0..all {
            clients.push(within("a permit", admitted(&host, bytes)).await);
        }
        let took = began.elapsed();
        assert!(took < SOON, "round {round}: the permits of clients that have left were kept for {took:?}");
    }
    assert_eq!(counts(&host).await.failures, 0);
}

#[tokio::test]
async fn a_client_that_leaves_during_a_response_frees_its_permit() {
    check_that_permits_come_back(&get(ENDLESS), Wire::reset).await;
}

#[tokio::test]
async fn a_client_that_leaves_during_a_stream_frees_its_permit() {
    check_that_permits_come_back(&get("/?head&tick&hang"), drop).await;
}

/// The host has bytes to read, which would hide the end of the connection.
#[tokio::test]
async fn a_client_that_leaves_after_pipelined_requests_frees_its_permit() {
    check_that_permits_come_back(&get("/?head&tick&hang").repeat(3), drop).await;
    check_that_permits_come_back(&format!("{}{}", get("/?head&tick&hang"), "x".repeat(20_000)), drop).await;
}

/// A stream notices it when it writes; it must end, too, while it is silent.
#[tokio::test]
async fn the_permit_of_a_stream_whose_client_leaves_is_for_anybody() {
    let host = TestHost::fixture("frames", &[&LONG[..], &["--max-concurrent", "2"]].concat()).await;
    for target in ["/?head&ticks=20", "/?head&tick&hang", "/?type=text/event-stream&head&tick&hang"] {
        let mut wire = within("a permit", admitted(&host, &get(target))).await;
        assert!(!wire.chunk().await.expect("a frame").is_empty());
        let other = within("a permit", admitted(&host, &get(ENDLESS))).await;
        assert_eq!(host.get(QUICK).await.status(), 503, "both permits are taken");
        drop(wire);
        let took = until_served(&host).await;
        assert!(took < SOON, "{target}: its permit was kept for {took:?}");
        other.reset();
    }
    wait_for_counts(&host, "no failure", |counts| counts.failures == 0).await;
}

/// Each HEAD is answered at once, and its call can go on for a second.
#[tokio::test]
async fn pipelined_requests_for_the_heads_of_streams_do_not_harm_others() {
    const HEADS: usize = 256;
    let host = TestHost::fixture("frames", &LONG).await;
    let mut wire = Wire::open(&host).await;
    wire.send(request("HEAD", "/?head&ticks=20", "").repeat(HEADS)).await;
    let heads = tokio::spawn(async move {
        for number in 0..HEADS {
            let head = wire.head().await.unwrap_or_else(|end| panic!("head {number}: {end:?}"));
            assert!(matches!(head.status, 200 | 503), "{head:?}");
        }
    });
    let mut others = Vec::new();
    let began = Instant::now();
    // Longer than a call goes on after its client has left.
    while !heads.is_finished() || began.elapsed() < Duration::from_secs(2) {
        others.push(host.get(QUICK).await.status());
        assert!(began.elapsed() < crate::harness::PATIENCE, "the heads do not arrive");
    }
    heads.await.unwrap();
    let rejected = others.iter().filter(|status| **status != 200).count();
    assert_eq!(rejected, 0, "of {} requests", others.len());
    assert_eq!(counts(&host).await.failures, 0);
}

/// A HEAD of a response that ends is judged like any other.
#[tokio::test]
async fn a_head_lets_its_response_finish() {
    let host = TestHost::fixture("frames", &LONG).await;
    let mut wire = Wire::open(&host).await;
    wire.send(request("HEAD", "/?head&write=3000000&wait=50&write=1000&finish&print=over", "")).await;
    let seen = wire.response("HEAD").await.expect("a head");
    assert_eq!((seen.head.status, seen.end), (200, End::Whole));
    host.log().wait_for("the call to finish", |line| line["message"] == "over").await;
    wait_for_counts(&host, "no failure", |counts| counts.failures == 0).await;
}

/// 8 MiB: more than the budget of the test, and more than the kernel buffers.
const LARGE: &str = "/?head&write=8388608&finish";

#[tokio::test]
async fn clients_that_do_not_read_leave_permits_for_others() {
    let options = [&LONG[..], &["--max-answers", "64KiB", "--max-concurrent", "16"]].concat();
    let host = TestHost::fixture("frames", &options).await;
    let mut unread = Vec::new();
    for _ in 0..40 {
        let mut wire = Wire::narrow(host.address).await;
        wire.send(get("/?head&write=1000000&finish")).await;
        // It may have been cut already, or find all permits taken by calls that still compute.
        if let Ok(head) = wire.head().await {
            assert!(matches!(head.status, 200 | 503), "{head:?}");
        }
        unread.push(wire);
    }
    until_calm(&host).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(host.get(QUICK).await.status(), 200);
    }
    assert_eq!(counts(&host).await.failures, 0);
}

#[tokio::test]
async fn responses_that_are_not_read_take_no_more_memory_than_their_budget() {
    // Longer than the test: nothing is freed because a call is late.
    let options = ["--request-timeout", "10m", "--max-answers", "1MiB", "--max-concurrent", "16"];
    let host = TestHost::fixture("frames", &options).await;
    for _ in 0..20 {
        assert_eq!(host.get(QUICK).await.status(), 200);
    }
    let before = host.resident_memory_kib();
    let mut unread = Vec::new();
    for _ in 0..64 {
        let mut wire = Wire::narrow(host.address).await;
        wire.send(get(LARGE)).await;
        let _ = wire.head().await;
        unread.push(wire);
    }
    // A quarter of 16 instances with 8 MiB each may wait. Those that still compute have memory, too: on a busy machine, for a while.
    let grown = || host.resident_memory_kib().saturating_sub(before);
    within("memory to be freed", async {
        while grown() > 64 * 1024 {
            until_calm(&host).await;
        }
    })
    .await;
    drop(unread);
}

/// The deadline of a request is for its call. A client may take longer to read.
#[tokio::test]
async fn a_client_that_reads_slowly_gets_the_whole_response() {
    const LENGTH: usize = 200_000;
    let host = TestHost::fixture("frames", &["--request-timeout", "2s"]).await;
    let mut wire = Wire::narrow(host.address).await;
    // The rest is written when the kernel accepts no more, so that the host has to hold it.
    wire.send(get(&format!("/?length={}&head&write={}&finish", 20 * LENGTH, 20 * LENGTH))).await;
    let head = wire.head().await.expect("a head");
    assert_eq!(head.status, 200);
    let began = Instant::now();
    let mut read = 0;
    // 30 kB/s until the deadline is long over, then the rest.
    let mut every = tokio::time::interval(Duration::from_millis(100));
    while read < LENGTH {
        every.tick().await;
        read += wire.read(3000).await.unwrap_or_else(|end| panic!("{end:?} after {read} bytes"));
    }
    assert!(began.elapsed() > Duration::from_secs(4), "the deadline is not over");
    let seen = wire.rest(&head).await;
    assert_eq!((seen.body.len(), seen.end), (20 * LENGTH, End::Whole));
    wait_for_counts(&host, "the request", |counts| (counts.requests, counts.failures) == (1, 0)).await;
}

#[tokio::test]
async fn a_client_that_hardly_reads_is_cut_and_nobody_is_blamed() {
    let host = TestHost::fixture("frames", &LONG).await;
    let mut wire = Wire::narrow(host.address).await;
    wire.send(request("GET", LARGE, "X-Request-Id: slow\r\n")).await;
    assert_eq!(wire.head().await.expect("a head").status, 200);
    let began = Instant::now();
    // 1 kB/s.
    let mut every = tokio::time::interval(Duration::from_millis(100));
    let reading = async {
        loop {
            every.tick().await;
            if let Err(end) = wire.read(100).await {
                return end;
            }
        }
    };
    tokio::select! {
        end = reading => assert_eq!(end, End::Reset),
        access = host.log().access("slow") => assert_ne!(access["end"], "whole", "{access}"),
    }
    let took = began.elapsed();
    assert!((4..25).contains(&took.as_secs()), "it was cut after {took:?}");
    assert_eq!(counts(&host).await.failures, 0);
}

/// Its call ends first, at the deadline, and takes the connection with it.
#[tokio::test]
async fn a_response_that_fails_while_its_client_does_not_read_is_cut_at_once() {
    let options = ["--request-timeout", "1s", "--max-answers", "64KiB"];
    let host = TestHost::fixture("frames", &options).await;
    let mut wire = Wire::narrow(host.address).await;
    wire.send(request("GET", LARGE, "X-Request-Id: stuck\r\n")).await;
    assert_eq!(wire.head().await.expect("a head").status, 200);
    let began = Instant::now();
    let access = host.log().access("stuck").await;
    assert_eq!(access["end"], "cut", "{access}");
    // Less than a client may hold up a response that has not failed.
    assert!(began.elapsed() < Duration::from_millis(3500), "{:?}", began.elapsed());
    let cut =
        |line: &serde_json::Value| line["event"] == "request.response_cut" && line["request_id"] == "stuck";
    host.log().wait_for("the reason", cut).await;
    assert_eq!(counts(&host).await.failures, 0);
}

/// The deadline of the call passes after its client has read, because it waited for that.
#[tokio::test]
async fn time_that_a_component_has_waited_for_its_reader_is_not_its_own() {
    let options = ["--request-timeout", "4s", "--max-answers", "64KiB"];
    let host = TestHost::fixture("frames", &options).await;
    let mut wire = Wire::narrow(host.address).await;
    wire.send(get("/?head&write=600000&print=read&wait=2000&write=5&finish")).await;
    let head = wire.head().await.expect("a head");
    // The client reads late: the component then has less time left than it needs.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let seen = wire.rest(&head).await;
    assert_eq!((seen.body.len(), seen.end), (600_005, End::Whole));
    assert_eq!(counts(&host).await.failures, 0);
}

/// The bytes that were taken from them are dropped.
#[tokio::test]
async fn responses_that_fail_before_their_heads_are_sent_leave_nothing_behind() {
    const RESPONSES: u64 = 500;
    const KIB: u64 = 60;
    let host = TestHost::fixture("frames", &["--max-concurrent", "8"]).await;
    let fail = format!("/?head&write={}&trap", KIB * 1024);
    let failures = async |count: u64| {
        for _ in 0..count {
            let _ = Wire::get(&host, &fail).await.response("GET").await;
        }
    };
    failures(50).await;
    let before = host.resident_memory_kib();
    failures(RESPONSES).await;
    let grown = host.resident_memory_kib().saturating_sub(before);
    assert!(grown < RESPONSES * KIB / 3, "the host's memory has grown by {grown} KiB");
}

/// Streams, responses that are not read and responses that nobody wants, all at once.
#[tokio::test]
async fn calls_that_last_leave_a_quarter_of_the_permits_for_others() {
    let options =
        [&LONG[..], &["--max-answers", "64KiB", "--stream-timeout", "20s", "--max-concurrent", "16"]]
            .concat();
    let host = TestHost::fixture("frames", &options).await;
    let mut wires = Vec::new();
    for _ in 0..8 {
        wires.push(Wire::get(&host, "/?head&ticks=100").await);
    }
    for _ in 0..8 {
        let mut wire = Wire::narrow(host.address).await;
        wire.send(get("/?length=1000000&head&write=1000000&finish")).await;
        wires.push(wire);
    }
    for _ in 0..4 {
        let mut wire = Wire::open(&host).await;
        wire.send(request("HEAD", "/?length=5&head&hang", "").repeat(16)).await;
        wires.push(wire);
    }
    until_calm(&host).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(host.get(QUICK).await.status(), 200);
    }
}
