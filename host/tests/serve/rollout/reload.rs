//! SIGHUP: each one requests a reload of the component.

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    harness::{fixture, orders},
    lifecycle::shutdown::signal_until_exit,
    rollout::swap::{HELLO, REQUEST_1, SwapHost, body, is_promotion, replace_file},
};

/// After several hangups during a reload, the host reads the file once more, and serves its latest version.
#[tokio::test]
async fn hangups_during_a_reload_lead_to_one_reload() {
    let swap_host = SwapHost::start(&fixture("answers"), &[]).await;
    swap_host.reload(&orders());
    let read = |line: &Value| line["event"] == "module.received";
    // The first component was received at the start.
    swap_host.host.log().wait_for_count("the orders to be read", 2, read).await;
    replace_file(&fixture("remembers"), &swap_host.component);
    for _ in 0..5 {
        swap_host.host.signal(Signal::HUP);
    }
    swap_host.host.log().wait_for_count("both swaps", 2, is_promotion).await;
    assert_eq!(body(&mut swap_host.host.connect().await).await, REQUEST_1);
    // Another reload would have started by now, because this one comes after it.
    swap_host.swap(&fixture("answers")).await;
    assert_eq!(swap_host.count("rollout.reload_started"), 3);
}

#[tokio::test]
async fn a_hangup_during_the_drain_is_ignored() {
    let mut swap_host = SwapHost::start(&fixture("answers"), &["--drain-delay", "10m"]).await;
    let mut client = swap_host.host.connect().await;
    swap_host.host.signal(Signal::TERM);
    swap_host.host.log().wait_for("the drain", |line| line["event"] == "drain.started").await;
    swap_host.reload(&fixture("remembers"));
    for _ in 0..20 {
        assert_eq!(body(&mut swap_host.host.connect().await).await, HELLO);
    }
    drop(client.get("/").await);
    assert_eq!(swap_host.count("rollout.reload_started"), 0);
    assert_eq!(signal_until_exit(&mut swap_host.host, Signal::TERM).await, Some(1));
}
