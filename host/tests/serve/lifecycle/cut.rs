//! What a shutdown cuts, and how it is counted: a request is in flight until its response has gone and its call has ended.

use rustix::process::Signal;

use super::shutdown::signal_until_exit;
use crate::{
    harness::TestHost,
    wire::{Wire, get, request},
};

const LONG: [&str; 2] = ["--request-timeout", "10m"];

/// Sends a request whose call goes on after its response, when its connection has closed.
async fn leave_work(host: &TestHost) {
    let mut wire = Wire::open(host).await;
    let target = "/?length=5&head&write=5&finish&print=working&hang";
    wire.send(request("GET", target, "Connection: close\r\n")).await;
    assert_eq!(wire.response("GET").await.expect("a response").body, b"xxxxx");
    host.log().wait_for("the work to begin", |line| line["message"] == "working").await;
}

/// Sends a request whose call ends, and whose response is not read.
async fn leave_unread(host: &TestHost) -> Wire {
    let mut wire = Wire::narrow(host.address).await;
    wire.send(get("/?length=8388608&head&write=8388608&finish&print=written")).await;
    host.log().wait_for("the end of the call", |line| line["message"] == "written").await;
    wire
}

async fn cut_of(host: &TestHost, event: &str) -> serde_json::Value {
    host.log().wait_for("the count", |line| line["event"] == event).await["cut"].clone()
}

#[tokio::test]
async fn work_that_outlasts_the_drain_is_cut_and_counted() {
    let mut host = TestHost::fixture("frames", &[&LONG[..], &["--drain-timeout", "300ms"]].concat()).await;
    leave_work(&host).await;
    let _unread = leave_unread(&host).await;
    host.signal(Signal::TERM);
    assert_eq!(host.exit().await.code(), Some(1));
    assert_eq!(cut_of(&host, "drain.timed_out").await, 2);
}

#[tokio::test]
async fn work_that_a_second_signal_cuts_is_counted() {
    let mut host = TestHost::fixture("frames", &[&LONG[..], &["--drain-timeout", "10m"]].concat()).await;
    leave_work(&host).await;
    assert_eq!(signal_until_exit(&mut host, Signal::TERM).await, Some(1));
    assert_eq!(cut_of(&host, "drain.aborted").await, 1);
}
