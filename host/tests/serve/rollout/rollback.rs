//! Rollbacks: after a verdict in the watch, at an operator's request, and at the end of the service.

use rustix::process::Signal;

use crate::{
    harness::{Client, TestHost, fixture},
    rollout::canary::{HELLO, ask, event, promoted, push, record_of, rolled_back, serving},
};

/// Sends requests until one has this response: one of the next hundred does, with any share.
async fn wait_for_body(client: &mut Client, body: &str) {
    for _ in 0..100 {
        if client.get("/").await.body == body {
            return;
        }
    }
    panic!("no response is {body:?}");
}

/// The module had no trial, or a good one, and becomes worse later. Its control serves beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_watched_module_that_becomes_worse_is_rolled_back() {
    let host = TestHost::fixture("answers", &["--watch", "10m", "--control", "20%"]).await;
    let before = serving(&host).await;
    let module = push(&host, &fixture("traps_on_demand"), "canary=0").await;
    promoted(&host, &module).await;
    let mut client = host.connect().await;
    for _ in 0..100 {
        assert_eq!(client.get("/").await.status(), 200);
    }
    let mut traps = 0;
    while serving(&host).await == module {
        assert!(traps < 1_000, "the module is not rolled back");
        traps += usize::from(client.get("/trap").await.status() == 500);
    }
    assert_eq!(client.get("/trap").await.body, HELLO);
    let rollback = event(&host, &module, "rollout.rolled_back").await;
    assert!(rollback["why"].as_str().unwrap().contains("trapped"), "{rollback}");
    assert_eq!((rollback["serving"].as_str(), serving(&host).await), (Some(&*before), before.clone()));
    assert_eq!(record_of(&host, &module).await["state"], "rolled-back");
    assert_eq!(record_of(&host, &before).await["state"], "serving");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_rolls_back_immediately() {
    let host = TestHost::fixture("answers", &[]).await;
    let before = serving(&host).await;
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 409);
    let module = push(&host, &fixture("remembers"), "canary=0").await;
    promoted(&host, &module).await;
    let mut client = host.connect().await;
    assert_eq!(client.get("/").await.body, "request 1 of this instance");
    let response = ask(&host, "POST", "/v1/rollback", "").await;
    // The very next request gets the previous module.
    assert_eq!(client.get("/").await.body, HELLO);
    assert_eq!((response.status(), response.json()["module"].as_str()), (200, Some(&*before)));
    // There is no rollback to the module that was rolled back.
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 409);
    assert_eq!(record_of(&host, &module).await["state"], "rolled-back");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_ends_a_trial() {
    let host = TestHost::fixture("answers", &[]).await;
    let before = serving(&host).await;
    let module = push(&host, &fixture("remembers"), "canary=99&window=10m").await;
    event(&host, &module, "rollout.trial_started").await;
    let mut client = host.connect().await;
    wait_for_body(&mut client, "request 1 of this instance").await;
    let bytes = std::fs::read(fixture("leaks")).unwrap();
    let refused = ask(&host, "PUT", "/v1/modules", bytes).await;
    assert_eq!(refused.status(), 409);
    assert!(refused.json()["detail"].as_str().unwrap().contains(module.split_at(12).0), "{:?}", refused.body);
    let response = ask(&host, "POST", "/v1/rollback", "").await;
    assert_eq!(client.get("/").await.body, HELLO);
    assert_eq!(response.json()["module"].as_str(), Some(&*before));
    let rollback = rolled_back(&host, &module).await;
    assert_eq!((&rollback["why"], &rollback["level"]), (&"operator request".into(), &"INFO".into()));
    // The next push is accepted.
    let module = push(&host, &fixture("leaks"), "canary=0").await;
    promoted(&host, &module).await;
}

#[tokio::test]
async fn a_trial_ends_with_the_service() {
    let mut host = TestHost::fixture("answers", &["--drain-delay", "200ms"]).await;
    let module = push(&host, &fixture("remembers"), "canary=99&window=10m").await;
    event(&host, &module, "rollout.trial_started").await;
    let mut client = host.connect().await;
    wait_for_body(&mut client, "request 1 of this instance").await;
    host.signal(Signal::TERM);
    host.log().wait_for("the drain", |line| line["event"] == "drain.started").await;
    assert_eq!(client.get("/").await.body, HELLO);
    assert_eq!(host.exit().await.code(), Some(0));
}
