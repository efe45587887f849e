//! A watch as an operator sees it: to its end, from another terminal, after a restart; and modules without a verdict.

use serde_json::Value;

use crate::{
    admin::rollouts::KeepingHost,
    commands::{
        module::{check_failed, check_said, module, path, short},
        module_trials::{Load, Proxy, SMOKE, end, read_until, start, url},
    },
    harness::{TestHost, fixture, version_of},
};

/// Without a trial, and with a watch that ends only with a verdict.
const WATCHED: [&str; 6] = ["--canary", "0", "--watch", "10m", "--control", "20%"];

async fn promoted(host: &TestHost) {
    host.log().wait_for("a promotion", |line: &Value| line["event"] == "rollout.promoted").await;
}

#[tokio::test]
async fn a_push_that_is_rolled_back_during_its_watch_exits_with_1() {
    let host = TestHost::fixture("answers", &SMOKE).await;
    let (file, before) = (path("traps_on_demand"), short(&path("answers")));
    let hash = short(&file);
    let pushed = start(&url(&host), &[&["push", &file], &WATCHED[..]].concat());
    promoted(&host).await;
    let watching = start(&url(&host), &["status", &hash, "--watch"]);
    let load = Load::on(&host, "/trap").await;
    let ran = end(pushed).await;
    load.end().await;
    check_failed(&ran, 1, &[&hash, "was rolled back: ", "requests failed (", "trapped), against 0 of"]);
    check_said(
        &ran,
        &["promoted", "it serves, and is watched for 10m", "measured", "trapped", "rolled back", &before],
    );
    check_failed(&end(watching).await, 1, &[&hash, "was rolled back: "]);
    assert_eq!(host.get("/").await.body, "hello\n");
}

#[tokio::test]
async fn a_push_waits_for_the_end_of_the_watch_or_only_for_the_promotion() {
    let host = TestHost::fixture("answers", &SMOKE).await;
    let folder = tempfile::tempdir().unwrap();
    let version = |number| version_of(&fixture("answers"), number, folder.path()).display().to_string();
    let load = Load::on(&host, "/").await;
    let terms = ["--canary", "0", "--watch", "1500ms", "--control", "30%"];
    let ran = module(&host, &[&["push", &version(1)], &terms[..]].concat()).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    check_said(&ran, &["promoted", "is watched for 1s 500ms", "measured", "kept", "it was no worse"]);
    load.end().await;

    let (file, before) = (version(2), short(&version(1)));
    let hash = short(&file);
    let ran = module(&host, &[&["push", &file, "--until", "promoted"], &WATCHED[..]].concat()).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    assert!(!ran.stdout.contains("kept"), "{}", ran.stdout);

    let ran = module(&host, &["status"]).await;
    assert!(ran.stdout.starts_with(&format!("serving   {hash}  since ")), "{}", ran.stdout);
    let rollout = format!("\nrollout   {hash}  watched for another ");
    let control = format!("\ncontrol   {before}  since ");
    check_said(&ran, &[&control, "20 % of the requests", &format!("\nprevious  {before}"), &rollout]);
    let ran = module(&host, &["push", &path("remembers")]).await;
    check_failed(&ran, 1, &[&hash, "is watched for another", "roll it back"]);
    let ran = module(&host, &["push", &file, "--until", "promoted"]).await;
    assert_eq!(ran.code, Some(0));
    let watched = format!("{hash} already serves, and is watched for another ");
    assert!(ran.stdout.starts_with(&watched), "{}", ran.stdout);
    // Another push of the same file joins the watch.
    let mut again = start(&url(&host), &["push", &file]);
    read_until(&mut again, &watched).await;

    let ran = module(&host, &["rollback"]).await;
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("{before} serves again\n")), "{}", ran.stderr);
    check_failed(&end(again).await, 1, &[&hash, "was rolled back: operator request"]);
    let ran = module(&host, &["push", &path("remembers")]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
}

/// It serves while the command reconnects, and the command goes on waiting.
#[tokio::test]
async fn a_broken_connection_during_a_watch_is_not_its_end() {
    let host = TestHost::fixture("answers", &SMOKE).await;
    let proxy = Proxy::start(&host).await;
    let file = path("remembers");
    let mut pushed = start(&proxy.url, &[&["push", &file], &WATCHED[..]].concat());
    read_until(&mut pushed, "promoted").await;
    // The command asks for the state of the module, and follows again.
    proxy.cut_and_wait(2).await;
    assert_eq!(module(&host, &["rollback"]).await.code, Some(0));
    let ran = end(pushed).await;
    check_failed(&ran, 1, &[&short(&file), "was rolled back: operator request"]);
    check_said(&ran, &["rolled back", &short(&path("answers"))]);
}

/// No requests arrive, so nothing speaks for or against the module.
#[tokio::test]
async fn a_module_without_a_verdict_is_named() {
    let host = TestHost::fixture("answers", &SMOKE).await;
    let file = path("remembers");
    let hash = short(&file);
    let terms = ["--canary", "50%", "--window", "50ms", "--max-window", "200ms", "--watch", "200ms"];
    let ran = module(&host, &[&["push", &file], &terms[..]].concat()).await;
    let why = "it had 0 requests and its control 0";
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(0), 1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.starts_with(&format!("orders-host: warning: {hash} serves, but is unproven: {why}")));
    let steps = [
        "on trial",
        "extended",
        why,
        "promoted",
        "unproven (too few requests",
        "watched for",
        "kept",
        "unproven: too few requests",
    ];
    check_said(&ran, &steps);
    check_said(&module(&host, &["list"]).await, &["WHY", "serving", &hash, "unproven: ", why]);
    check_said(&module(&host, &["status"]).await, &["serving", &hash, "unproven: ", why]);
    check_said(&module(&host, &["status", &hash]).await, &["state   serving", "unproven: ", why]);

    let other = path("leaks");
    let ran = module(&host, &[&["push", &other, "--on-unproven", "rollback"], &terms[..]].concat()).await;
    check_failed(&ran, 1, &[&short(&other), "was rolled back: unproven: ", why]);
}

#[tokio::test]
async fn a_push_to_a_service_without_smoke_requests_warns() {
    let host = TestHost::fixture("answers", &[]).await;
    let ran = module(&host, &["push", &path("remembers")]).await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(0), 1), "{}", ran.stderr);
    let warning = "orders-host: warning: the service has no smoke requests: ";
    assert!(ran.stderr.starts_with(warning) && ran.stderr.contains("--smoke"), "{}", ran.stderr);
}

/// The service is restarted in between.
#[tokio::test]
async fn modules_are_rolled_back_explained_and_activated_after_a_restart() {
    let keeping = KeepingHost::new();
    let host = keeping.start(&SMOKE).await;
    let [first, second, third] = ["answers", "remembers", "leaks"].map(|name| short(&path(name)));
    for name in ["remembers", "leaks"] {
        assert_eq!(module(&host, &["push", &path(name)]).await.code, Some(0));
    }
    let ran = module(&host, &["rollback"]).await;
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("{second} serves again\n")), "{}", ran.stderr);
    let host = keeping.restart(host, &SMOKE).await;
    check_said(
        &module(&host, &["list"]).await,
        &["serving", &second, "rolled back", &third, "operator request"],
    );
    // After a rollback there is nothing to roll back to.
    check_failed(&module(&host, &["rollback"]).await, 1, &["no module to roll back to"]);

    let ran = module(&host, &["activate", first.get(..6).unwrap()]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    check_said(&ran, &["activating", &first, &second, "received", "from the module folder", "promoted"]);
    let ran = module(&host, &["activate", &first]).await;
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("{first} already serves: nothing to do\n")));

    let host = keeping.restart(host, &SMOKE).await;
    check_said(&module(&host, &["status"]).await, &["serving", &first, "previous", &second]);
    let ran = module(&host, &["rollback"]).await;
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("{second} serves again\n")), "{}", ran.stderr);
    assert_eq!(host.get("/").await.body, "request 1 of this instance");
    check_failed(&module(&host, &["activate", "0000000"]).await, 1, &["no known module", "0000000"]);

    let host = TestHost::fixture("answers", &SMOKE).await;
    assert_eq!(module(&host, &["push", &path("remembers")]).await.code, Some(0));
    check_failed(&module(&host, &["activate", &first]).await, 1, &["--module-dir"]);
}
