//! Pushes during a watch, modules that are activated again, and rollbacks that fail.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    admin::requests::problem,
    harness::{TestHost, fixture, within},
    rollout::canary::{HELLO, ask, event, promoted, push, record_of, serving},
};

/// A service with a module folder.
pub struct KeepingHost {
    folder: TempDir,
}

impl KeepingHost {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A path in the module folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("modules").join(name)
    }

    /// Starts the fixture `answers`.
    pub async fn start(&self, options: &[&str]) -> TestHost {
        let modules = self.folder.path().join("modules").display().to_string();
        TestHost::fixture("answers", &[&["--module-dir", &modules], options].concat()).await
    }

    /// Ends a host, and starts another one.
    pub async fn restart(&self, mut host: TestHost, options: &[&str]) -> TestHost {
        host.signal(Signal::TERM);
        host.exit().await;
        self.start(options).await
    }
}

async fn overview(host: &TestHost) -> Value {
    ask(host, "GET", "/v1/modules", "").await.json()
}

/// Waits until no rollout is in progress.
async fn settled(host: &TestHost) {
    within("the end of a rollout", async { while !overview(host).await["rollout"].is_null() {} }).await;
}

/// Pushes a fixture, and waits until it serves.
async fn promote(host: &TestHost, name: &str) -> String {
    let module = push(host, &fixture(name), "").await;
    promoted(host, &module).await;
    module
}

async fn try_push(host: &TestHost, component: &Path) -> crate::harness::TestResponse {
    ask(host, "PUT", "/v1/modules", fs::read(component).unwrap()).await
}

#[tokio::test]
async fn a_push_during_a_watch_is_told_for_how_long() {
    let host = TestHost::fixture("answers", &["--watch", "5m", "--control", "7%"]).await;
    let before = serving(&host).await;
    assert_eq!(overview(&host).await["rollout"], Value::Null);
    let module = promote(&host, "remembers").await;

    let overview = overview(&host).await;
    let (rollout, control) = (&overview["rollout"], &overview["control"]);
    assert_eq!((&rollout["phase"], &rollout["module"]), (&"watched".into(), &module.as_str().into()));
    assert_eq!((&control["module"], &control["share"]), (&before.as_str().into(), &7.into()));
    assert_eq!(
        (&control["state"], &overview["previous"]["module"]),
        (&"replaced".into(), &control["module"])
    );
    for left in [rollout, control].map(|member| member["seconds_left"].as_u64().unwrap()) {
        assert!((240..=300).contains(&left), "{overview}");
    }
    let rejected = try_push(&host, &fixture("leaks")).await;
    let detail = problem(&rejected, 409);
    assert!(detail.contains(module.split_at(12).0) && detail.contains("is watched for another"), "{detail}");
    let seconds: u64 = rejected.field("retry-after").parse().unwrap();
    assert!((240..=300).contains(&seconds) && detail.contains(" s:"), "{seconds}, {detail}");

    // The rollout ends with a rollback: the very next push is accepted.
    for component in ["leaks", "remembers", "dawdles"] {
        let response = ask(&host, "POST", "/v1/rollback", "").await;
        assert_eq!((response.status(), response.json()["module"].as_str()), (200, Some(&*before)));
        promote(&host, component).await;
    }
}

/// The same for a module that is being prepared, and for one on trial.
#[tokio::test]
async fn a_push_is_accepted_as_soon_as_a_rollback_has_returned() {
    let host = TestHost::fixture("answers", &["--window", "10m"]).await;
    let before = serving(&host).await;
    for component in ["remembers", "leaks", "dawdles"] {
        let module = push(&host, &fixture(component), "canary=50").await;
        let response = ask(&host, "POST", "/v1/rollback", "").await;
        assert_eq!((response.status(), response.json()["module"].as_str()), (200, Some(&*before)));
        let again = push(&host, &fixture(component), "canary=50&max-window=20m").await;
        assert_eq!(again, module);
        event(&host, &again, "rollout.trial_started").await;
        let overview = overview(&host).await;
        assert_eq!((&overview["rollout"]["phase"], &overview["control"]), (&"on-trial".into(), &Value::Null));
        assert!(overview["rollout"]["seconds_left"].as_u64().unwrap() > 540, "{overview}");
        let rejected = try_push(&host, &fixture("answers_gigabyte")).await;
        assert!(problem(&rejected, 409).contains("is on trial for another"), "{rejected:?}");
        assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 200);
        assert_eq!(record_of(&host, &again).await["state"], "rolled-back");
    }
}

#[tokio::test]
async fn the_overview_has_the_terms_and_the_smoke_requests() {
    let options =
        ["--window", "500", "--control", "9%", "--ignore-client-errors", "--on-unproven", "rollback"];
    let host = TestHost::fixture("answers", &[&options[..], &["--smoke", "GET /"]].concat()).await;
    let overview = overview(&host).await;
    let terms = serde_json::json!({
        "canary": "0%", "window": "500", "max-window": "10m", "on-unproven": "rollback", "watch": "0s",
        "control": "9%", "ignore-client-errors": "true",
    });
    assert_eq!((&overview["terms"], &overview["smoke_requests"]), (&terms, &1.into()));
    assert!(!host.log().lines().iter().any(|line| line["event"] == "rollout.no_smoke_requests"));

    let host = TestHost::fixture("answers", &[]).await;
    let module = push(&host, &fixture("remembers"), "").await;
    let line = event(&host, &module, "rollout.no_smoke_requests").await;
    assert_eq!(line["level"], "WARN");
    let warned = |line: &Value| line["event"] == "rollout.no_smoke_requests";
    host.log().wait_for_count("the warnings of the start and of the push", 2, warned).await;
}

#[tokio::test]
async fn a_module_that_is_kept_is_activated() {
    let keeping = KeepingHost::new();
    let host = keeping.start(&["--smoke", "GET /"]).await;
    let before = serving(&host).await;
    let module = promote(&host, "remembers").await;
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 200);

    let activate = |module: &str, terms: &str| format!("/v1/modules/{module}/activate{terms}");
    let response = ask(&host, "POST", &activate(&module, "?watch=5m"), "").await;
    assert_eq!((response.status(), &response.json()["module"]), (202, &module.as_str().into()));
    assert_eq!(response.field("location"), format!("/v1/modules/{module}"));
    let received = |line: &Value| line["event"] == "module.received" && line["from"] == "Activate";
    let received = host.log().wait_for("the module", received).await;
    assert_eq!(received["module"], module.as_str());
    within("its promotion", async { while serving(&host).await != module {} }).await;
    assert_eq!(host.get("/").await.status(), 200);
    // A rollout like any other.
    let detail = problem(&ask(&host, "POST", &activate(&before, ""), "").await, 409);
    assert!(detail.contains("is watched for another"), "{detail}");
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 200);

    let response = ask(&host, "POST", &activate(&before, ""), "").await;
    assert_eq!((response.status(), &response.json()["serving"]), (200, &true.into()));
    for (path, status, says) in [
        (activate(&"0".repeat(64), ""), 404, "not kept"),
        (activate("00", ""), 404, "64 hexadecimal digits"),
        (activate(&module, "?canary=100"), 400, "canary: "),
        (activate(&module, "/x"), 404, "does not exist"),
    ] {
        let detail = problem(&ask(&host, "POST", &path, "").await, status);
        assert!(detail.contains(says), "{path}: {detail}");
    }
    fs::write(keeping.path(&format!("{module}.wasm")), "damaged").unwrap();
    let detail = problem(&ask(&host, "POST", &activate(&module, ""), "").await, 422);
    assert!(detail.contains("push the component again"), "{detail}");
    assert_eq!(record_of(&host, &module).await["state"], "refused");
    assert_eq!(serving(&host).await, before);

    let host = TestHost::fixture("answers", &[]).await;
    let detail = problem(&ask(&host, "POST", &activate(&module, ""), "").await, 409);
    assert!(detail.contains("--module-dir"), "{detail}");
}

/// The previous module is no longer loaded after a restart, and its component is gone.
#[tokio::test]
async fn a_rollback_that_cannot_load_the_previous_module_changes_nothing() {
    let keeping = KeepingHost::new();
    let host = keeping.start(&[]).await;
    // Not the component that --component names, which would be read from its own file.
    let before = promote(&host, "leaks").await;
    let module = promote(&host, "remembers").await;
    let host = keeping.restart(host, &[]).await;
    let overview = overview(&host).await;
    assert_eq!(overview["serving"]["module"], module.as_str());
    assert_eq!(overview["previous"]["module"], before.as_str());
    fs::remove_file(keeping.path(&format!("{before}.wasm"))).unwrap();
    let detail = problem(&ask(&host, "POST", "/v1/rollback", "").await, 409);
    for part in ["cannot serve", before.split_at(12).0, "Nothing has changed", module.split_at(12).0] {
        assert!(detail.contains(part), "no {part:?} in {detail}");
    }
    assert_eq!(serving(&host).await, module);
    assert_eq!(host.get("/").await.body, "request 1 of this instance");
}

/// The file `active` cannot be replaced, because a folder has its name.
#[tokio::test]
async fn a_rollback_that_cannot_be_recorded_says_what_serves() {
    let keeping = KeepingHost::new();
    let host = keeping.start(&[]).await;
    let before = serving(&host).await;
    let module = promote(&host, "remembers").await;
    let active = keeping.path("active");
    fs::remove_file(&active).unwrap();
    fs::create_dir(&active).unwrap();
    let detail = problem(&ask(&host, "POST", "/v1/rollback", "").await, 500);
    for part in [before.split_at(12).0, "serves now", "could not be recorded", "a restart would serve"] {
        assert!(detail.contains(part), "no {part:?} in {detail}");
    }
    assert_eq!(host.get("/").await.body, HELLO);
    assert_eq!(record_of(&host, &module).await["state"], "rolled-back");

    fs::remove_dir(&active).unwrap();
    settled(&host).await;
    let host = keeping.restart(host, &[]).await;
    assert_eq!((serving(&host).await, host.get("/").await.body), (before, HELLO.into()));
}
