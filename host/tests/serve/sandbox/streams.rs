//! Streams: a response without a length whose call goes on after its head. With `--stream-timeout` it lives while frames come.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::{
    harness::{TestHost, fixture, version_of, within},
    rollout::canary::{promoted, push},
    wire::{End, QUICK, Wire, request, wait_for_counts},
};

/// A frame every 200 ms.
const TICKS: &str = "/?head&ticks=200";
const EVENTS: &str = "/?type=text/event-stream&head&ticks=200";

/// Opens a stream and reads its first frame.
async fn open(host: &TestHost, target: &str) -> Wire {
    let mut wire = Wire::get(host, target).await;
    let head = wire.head().await.expect("a head");
    assert_eq!((head.status, head.field("transfer-encoding")), (200, Some("chunked")), "{head:?}");
    assert_eq!(wire.chunk().await.expect("a frame"), b"data: tick\n\n");
    wire
}

/// Reads frames until the stream ends; `Whole` is the last chunk.
async fn end_of(wire: &mut Wire) -> End {
    within("the end of a stream", async {
        loop {
            match wire.chunk().await {
                Ok(chunk) if chunk.is_empty() => return End::Whole,
                Ok(_) => {}
                Err(end) => return end,
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_stream_lives_while_its_frames_come() {
    let host = TestHost::fixture("frames", &["--stream-timeout", "1s", "--request-timeout", "2s"]).await;
    for target in [TICKS, EVENTS] {
        let began = Instant::now();
        let mut wire = open(&host, target).await;
        // Twice as long as a request may take.
        while began.elapsed() < Duration::from_secs(4) {
            let chunk =
                wire.chunk().await.unwrap_or_else(|end| panic!("{end:?} after {:?}", began.elapsed()));
            assert!(!chunk.is_empty(), "{target}");
        }
    }
}

#[tokio::test]
async fn a_stream_whose_frames_stop_is_cut() {
    let host = TestHost::fixture("frames", &["--stream-timeout", "1s", "--request-timeout", "40s"]).await;
    let began = Instant::now();
    let mut wire = open(&host, "/?head&tick&hang").await;
    assert_eq!(end_of(&mut wire).await, End::Reset);
    let took = began.elapsed();
    assert!((900..8000).contains(&took.as_millis()), "it was cut after {took:?}");
}

#[tokio::test]
async fn a_stream_that_finishes_is_whole_and_counted() {
    let host = TestHost::fixture("frames", &["--stream-timeout", "1s", "--request-timeout", "2s"]).await;
    let mut wire = open(&host, "/?head&tick&wait=400&tick&wait=400&tick&finish").await;
    assert_eq!(end_of(&mut wire).await, End::Whole);
    wait_for_counts(&host, "the stream", |counts| (counts.requests, counts.failures) == (1, 0)).await;
}

#[tokio::test]
async fn without_the_option_the_deadline_ends_a_stream() {
    let host = TestHost::fixture("frames", &["--request-timeout", "1s"]).await;
    for target in [TICKS, EVENTS] {
        let began = Instant::now();
        let mut wire = open(&host, target).await;
        assert_eq!(end_of(&mut wire).await, End::Reset, "{target}");
        assert!((900..8000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    }
}

/// A client knows when a response with a length is over, so that only a stream may last.
#[tokio::test]
async fn a_response_with_a_length_is_no_stream() {
    let options = ["--stream-timeout", "20s", "--request-timeout", "1s"];
    let host = TestHost::fixture("frames", &options).await;
    let began = Instant::now();
    let mut wire = Wire::get(&host, "/?length=1000&head&write=5&hang").await;
    let seen = wire.response("GET").await.expect("a head");
    assert_eq!((seen.head.status, seen.end), (200, End::Reset), "{seen:?}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    wait_for_counts(&host, "the timeout", |counts| (counts.requests, counts.timeouts) == (1, 1)).await;
}

#[tokio::test]
async fn streams_leave_half_of_the_permits_for_others() {
    let options = ["--stream-timeout", "10s", "--request-timeout", "20s", "--max-concurrent", "4"];
    let host = TestHost::fixture("frames", &options).await;
    let first = open(&host, TICKS).await;
    let _second = open(&host, EVENTS).await;
    for _ in 0..3 {
        let seen = Wire::get(&host, TICKS).await.response("GET").await.expect("a head");
        assert!(seen.is_problem(503), "{seen:?}");
        assert_eq!(seen.head.field("retry-after"), Some("1"), "{seen:?}");
        assert_eq!(host.get(QUICK).await.status(), 200);
    }
    drop(first);
    within("the place of a stream", async {
        while Wire::get(&host, TICKS).await.head().await.expect("a head").status != 200 {}
    })
    .await;
    wait_for_counts(&host, "no failure", |counts| counts.failures == 0).await;
}

#[tokio::test]
async fn processor_time_is_counted_from_frame_to_frame() {
    let options = ["--stream-timeout", "10s", "--request-timeout", "20s", "--max-cpu", "400ms"];
    let host = TestHost::fixture("frames", &options).await;
    // A second in all.
    let steps = "&compute=200&tick".repeat(5);
    let mut wire = open(&host, &format!("/?head&tick&wait=100{steps}&finish")).await;
    assert_eq!(end_of(&mut wire).await, End::Whole);
    wait_for_counts(&host, "the stream", |counts| (counts.requests, counts.failures) == (1, 0)).await;

    let mut wire = open(&host, "/?head&tick&wait=100&tick&compute=60000").await;
    assert_eq!(end_of(&mut wire).await, End::Reset);
    wait_for_counts(&host, "the failure", |counts| counts.failures == 1).await;
}

/// Without a length only the last chunk says that nothing is missing; only a client of events knows that it may come any time.
#[tokio::test]
async fn a_shutdown_ends_event_streams_cleanly_and_cuts_others() {
    let options = ["--stream-timeout", "20s", "--request-timeout", "30s"];
    for (target, expected) in [(EVENTS, End::Whole), (TICKS, End::Reset)] {
        let mut host = TestHost::fixture("frames", &options).await;
        let mut wire = open(&host, target).await;
        let began = Instant::now();
        host.signal(Signal::TERM);
        assert_eq!(end_of(&mut wire).await, expected, "{target}");
        assert_eq!(host.exit().await.code(), Some(0), "{target}");
        assert!(began.elapsed() < Duration::from_secs(10), "{target}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn streams_are_served_during_the_drain_delay() {
    let options = ["--stream-timeout", "20s", "--request-timeout", "30s", "--drain-delay", "2s"];
    let mut host = TestHost::fixture("frames", &options).await;
    let mut wire = open(&host, EVENTS).await;
    host.signal(Signal::TERM);
    host.log().wait_for("the drain", |line| line["event"] == "drain.started").await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        assert!(!wire.chunk().await.expect("a frame").is_empty());
    }
    assert_eq!(end_of(&mut wire).await, End::Whole);
    assert_eq!(host.exit().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_replaced_module_end_after_the_drain_timeout() {
    let options = ["--stream-timeout", "20s", "--request-timeout", "30s", "--drain-timeout", "1s"];
    let host = TestHost::fixture("frames", &options).await;
    let mut events = open(&host, EVENTS).await;
    let mut ticks = open(&host, TICKS).await;
    let folder = tempfile::tempdir().unwrap();
    let module = push(&host, &version_of(&fixture("frames"), 2, folder.path()), "canary=0").await;
    promoted(&host, &module).await;
    let began = Instant::now();
    let mut kept = open(&host, EVENTS).await;
    assert_eq!((end_of(&mut events).await, end_of(&mut ticks).await), (End::Whole, End::Reset));
    let took = began.elapsed();
    assert!((500..10_000).contains(&took.as_millis()), "they have ended after {took:?}");
    // Those of the module that serves go on.
    for _ in 0..5 {
        assert!(!kept.chunk().await.expect("a frame").is_empty());
    }
    wait_for_counts(&host, "no failure", |counts| counts.failures == 0).await;
}

/// Work after a stream has what is left of the time of a request, not that of a stream.
#[tokio::test]
async fn a_call_ends_soon_after_its_stream() {
    let options = ["--stream-timeout", "40s", "--request-timeout", "2s", "--max-concurrent", "2"];
    let host = TestHost::fixture("frames", &options).await;
    let mut wire = Wire::get(&host, "/?head&tick&wait=300&finish&hang").await;
    assert_eq!(wire.head().await.expect("a head").status, 200);
    assert_eq!(end_of(&mut wire).await, End::Whole);
    let began = Instant::now();
    let failed = |line: &serde_json::Value| line["event"] == "request.failed_after_response";
    host.log().wait_for("the end of the call", failed).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

/// The last connection closes long before the call has ended.
#[tokio::test]
async fn a_shutdown_waits_for_work_after_a_response() {
    let mut host = TestHost::fixture("frames", &["--drain-timeout", "20s"]).await;
    let mut wire = Wire::open(&host).await;
    let target = "/?length=5&head&write=5&finish&print=working&wait=1500&print=done";
    wire.send(request("GET", target, "Connection: close\r\n")).await;
    assert_eq!(wire.response("GET").await.expect("a response").body, b"xxxxx");
    host.log().wait_for("the work to begin", |line| line["message"] == "working").await;
    host.signal(Signal::TERM);
    assert_eq!(host.exit().await.code(), Some(0));
    host.log().wait_for("the end of the work", |line| line["message"] == "done").await;
}
