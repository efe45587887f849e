//! A pushed module serves again after a restart, however the previous process ended.

use std::{
    fs,
    path::{Path, PathBuf},
};

use orders_host::{
    module::{hash::ModuleHash, shelf},
    rollout::owner,
};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    harness::{TestHost, fixture, run},
    rollout::canary::{ask, promoted, push},
};

/// The response of `answers` and of similar fixtures.
const HELLO: &[u8] = b"hello\n";
/// The response of `remembers` to the first request of an instance.
const REQUEST_1: &[u8] = b"request 1 of this instance";

/// A module folder, and the file that `--component` names.
struct Folder {
    folder: TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = Self { folder: tempfile::tempdir().unwrap() };
        folder.deploy("answers");
        folder
    }

    fn component(&self) -> PathBuf {
        self.folder.path().join("component.wasm")
    }

    fn modules(&self) -> PathBuf {
        self.folder.path().join("modules")
    }

    /// Replaces the file that `--component` names.
    fn deploy(&self, name: &str) {
        fs::copy(fixture(name), self.component()).unwrap();
    }

    async fn start(&self, variables: &[(&str, &str)]) -> TestHost {
        let modules = self.modules().display().to_string();
        let options = ["--module-dir", &modules, "--keep-modules", "1"];
        TestHost::start_with(&self.component(), &options, variables).await
    }

    fn file(&self, module: &str, extension: &str) -> PathBuf {
        self.modules().join(format!("{module}.{extension}"))
    }
}

async fn body(host: &TestHost) -> Vec<u8> {
    let response = host.get("/").await;
    assert_eq!(response.status(), 200);
    response.body.to_vec()
}

async fn serve_pushed(host: &TestHost, name: &str) -> String {
    let module = push(host, &fixture(name), "canary=0").await;
    promoted(host, &module).await;
    module
}

async fn kill(mut host: TestHost) {
    host.signal(Signal::KILL);
    host.exit().await;
}

fn compilations(host: &TestHost) -> usize {
    host.log().lines().iter().filter(|line| line["event"] == "module.compiled").count()
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_pushed_module_serves_after_kill_9() {
    let folder = Folder::new();
    let host = folder.start(&[]).await;
    assert_eq!(body(&host).await, HELLO);
    let module = serve_pushed(&host, "remembers").await;
    kill(host).await;
    let host = folder.start(&[]).await;
    assert_eq!(body(&host).await, REQUEST_1);
    let serving = host.log().wait_for("the start", |line| line["message"] == "serving").await;
    assert_eq!(serving["module"], module.as_str());
    assert_eq!(compilations(&host), 0, "the stored code was not used");
    let overview = ask(&host, "GET", "/v1/modules", "").await.json();
    assert_eq!((&overview["durable"], &overview["serving"]["state"]), (&true.into(), &"serving".into()));
    // A rollback loads the previous module again.
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 200);
    assert_eq!(body(&host).await, HELLO);
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 409);
    kill(host).await;
    let host = folder.start(&[]).await;
    assert_eq!(body(&host).await, HELLO);
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 409);
}

/// A process that drains for minutes must not delay its successor.
#[tokio::test]
async fn the_next_process_starts_while_the_former_one_drains() {
    let folder = Folder::new();
    let modules = folder.modules().display().to_string();
    let options = ["--module-dir", &modules, "--drain-delay", "10m"];
    let former = TestHost::start(&folder.component(), &options).await;
    serve_pushed(&former, "remembers").await;
    former.signal(Signal::TERM);
    let released = |line: &Value| line["event"] == "module.folder_released";
    former.log().wait_for("the module folder to be released", released).await;

    let next = folder.start(&[]).await;
    assert_eq!((body(&next).await, body(&former).await), (REQUEST_1.to_vec(), REQUEST_1.to_vec()));
    serve_pushed(&next, "leaks").await;
    kill(former).await;
    kill(next).await;
    assert_eq!(body(&folder.start(&[]).await).await, HELLO);
}

#[tokio::test]
async fn a_module_that_was_rolled_back_to_serves_after_kill_9() {
    let folder = Folder::new();
    let host = folder.start(&[]).await;
    serve_pushed(&host, "remembers").await;
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 200);
    kill(host).await;
    assert_eq!(body(&folder.start(&[]).await).await, HELLO);
}

/// A later deployment overrides a push.
#[tokio::test]
async fn a_changed_component_overrides_a_pushed_module() {
    let folder = Folder::new();
    let host = folder.start(&[]).await;
    serve_pushed(&host, "remembers").await;
    kill(host).await;
    folder.deploy("leaks");
    let host = folder.start(&[]).await;
    assert_eq!(body(&host).await, HELLO);
    kill(host).await;
    // The push remains overridden, even if the first component is deployed again.
    folder.deploy("answers");
    let host = folder.start(&[]).await;
    assert_eq!(body(&host).await, HELLO);
}

#[tokio::test]
async fn damaged_code_is_compiled_again_and_a_damaged_component_is_rejected() {
    let folder = Folder::new();
    let host = folder.start(&[]).await;
    let module = serve_pushed(&host, "remembers").await;
    kill(host).await;
    flip(&folder.file(&module, "compiled"));
    let host = folder.start(&[]).await;
    assert_eq!((body(&host).await, compilations(&host)), (REQUEST_1.to_vec(), 1));
    let warned = |line: &Value| {
        line["level"] == "WARN" && line["file"].as_str().is_some_and(|file| file.contains(&module))
    };
    assert!(host.log().lines().iter().any(warned));
    kill(host).await;

    flip(&folder.file(&module, "wasm"));
    let (component, modules) =
        (folder.component().display().to_string(), folder.modules().display().to_string());
    let serve = ["serve", "--component", &component, "--module-dir", &modules, "--store", "memory:"];
    let rejected = run(serve.iter().chain(&["--listen", "127.0.0.1:0", "--admin-listen", "off"])).await;
    assert_eq!((rejected.code, rejected.stdout.contains("\"serving\"")), (Some(2), false));
    assert!(
        rejected.stderr.contains(&folder.file(&module, "wasm").display().to_string()),
        "{}",
        rejected.stderr
    );
    assert!(rejected.stderr.contains("restore the same component there"), "{}", rejected.stderr);
    fs::copy(fixture("remembers"), folder.file(&module, "wasm")).unwrap();
    assert_eq!(body(&folder.start(&[]).await).await, REQUEST_1);
}

/// So a rollback to it is possible after a restart, whatever `--component` names then.
#[tokio::test]
async fn the_component_that_served_first_is_kept_while_it_is_the_previous_one() {
    let folder = Folder::new();
    let first = fs::read(fixture("answers")).unwrap();
    let stored = folder.file(&ModuleHash::digest(&first).to_string(), "wasm");
    let host = folder.start(&[]).await;
    assert_eq!(fs::read(&stored).unwrap(), first);
    // Of the modules that are not in use, the folder keeps one.
    serve_pushed(&host, "remembers").await;
    assert_eq!(fs::read(&stored).unwrap(), first);
    kill(host).await;
    folder.deploy("leaks");
    let host = folder.start(&[]).await;
    assert_eq!(body(&host).await, HELLO);
    assert_eq!(fs::read(&stored).unwrap(), first);
}

/// A deployment replaces what served, and a rollback undoes it.
#[tokio::test]
async fn a_rollback_after_another_component_was_deployed_restores_the_first_one() {
    let folder = Folder::new();
    folder.deploy("remembers");
    kill(folder.start(&[]).await).await;
    folder.deploy("answers");
    kill(folder.start(&[]).await).await;
    let host = folder.start(&[]).await;
    assert_eq!(body(&host).await, HELLO);
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 200);
    assert_eq!(body(&host).await, REQUEST_1);
    kill(host).await;
    let host = folder.start(&[]).await;
    assert_eq!(body(&host).await, REQUEST_1);
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 409);
}

#[tokio::test]
async fn the_active_module_serves_whatever_the_history_is() {
    let folder = Folder::new();
    let host = folder.start(&[]).await;
    let module = serve_pushed(&host, "remembers").await;
    kill(host).await;
    let path = folder.modules().join("history");
    let other = ModuleHash::digest(b"other");
    for history in [
        String::new(),
        "{".repeat(2 << 20),
        "[".repeat(1 << 20),
        "{\"version\":2}".to_owned(),
        format!("{{\"version\":1,\"serving\":\"{other}\",\"previous\":\"{other}\",\"records\":[]}}"),
    ] {
        fs::write(&path, &history).unwrap();
        let host = folder.start(&[]).await;
        assert_eq!(body(&host).await, REQUEST_1);
        let overview = ask(&host, "GET", "/v1/modules", "").await.json();
        let serving = (&overview["serving"]["module"], &overview["previous"]);
        assert_eq!(serving, (&module.as_str().into(), &Value::Null));
        kill(host).await;
    }
}

/// After the restart, the old module or the pushed one serves, and it is complete.
#[tokio::test]
async fn kill_9_at_every_step_of_a_push_leaves_the_old_module_or_the_new_one() {
    let mut after = Vec::new();
    for point in shelf::POINTS.iter().flatten().chain(&owner::POINTS) {
        let folder = Folder::new();
        let host = folder.start(&[]).await;
        serve_pushed(&host, "remembers").await;
        kill(host).await;
        // The history is saved after a promotion is announced. If the kill came in between, this start saves it.
        kill(folder.start(&[]).await).await;
        let mut host = folder.start(&[("ORDERS_FAULT", point)]).await;
        assert_eq!(body(&host).await, REQUEST_1, "{point}");
        // The response may be lost with the process.
        let bytes = fs::read(fixture("leaks")).unwrap();
        let mut operator = host.operator().await;
        let request = http::Request::put("/v1/modules?canary=50&window=100ms&max-window=100ms")
            .body(http_body_util::Full::from(bytes));
        let _ = operator.send(request.unwrap()).await;
        let ended = host.exit().await;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "{point}: {ended}");

        let host = folder.start(&[]).await;
        let body = body(&host).await;
        assert!(body == REQUEST_1 || body == HELLO, "{point}: {body:?}");
        after.push(body == HELLO);
        let temporary_files = fs::read_dir(folder.modules())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
        assert_eq!(temporary_files.count(), 0, "{point}");
        // The next push works.
        serve_pushed(&host, "dawdles").await;
    }
    assert!(after.contains(&true) && after.contains(&false), "{after:?}");
}
