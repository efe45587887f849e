//! Components in languages other than Rust, built with the tools of these languages: `tests/guests/languages`.

use std::{path::PathBuf, process::Stdio, time::Duration};

use http::Request;
use http_body_util::Full;
use serde_json::json;
use tokio::{net::TcpListener, process::Command, sync::OnceCell, time::timeout};

use crate::{
    harness::{TOKEN, TestHost, binary, component, within},
    sandbox::outbound::Upstream,
};

/// How long compiling one may take: the component includes a language runtime, and the compiler under test is hardly
/// optimized.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(300);

/// A language with a component in `tests/guests/languages`.
#[derive(Clone, Copy)]
enum Language {
    JavaScript,
    Python,
}

use Language::{JavaScript, Python};

impl Language {
    /// The compiled component, compiled once for all tests: by a host that it is pushed to, which then serves it.
    async fn compiled(self) -> PathBuf {
        static JAVASCRIPT: OnceCell<PathBuf> = OnceCell::const_new();
        static PYTHON: OnceCell<PathBuf> = OnceCell::const_new();
        let (once, name) = match self {
            JavaScript => (&JAVASCRIPT, "javascript"),
            Python => (&PYTHON, "python"),
        };
        once.get_or_init(async || {
            let folder = tempfile::tempdir().unwrap();
            let modules = folder.path().display().to_string();
            let options = ["--compile-timeout", "5m", "--module-dir", &modules];
            let host = TestHost::fixture("answers", &options).await;
            let mut push = Command::new(binary());
            push.args(["module", "push"]).arg(component(&format!("languages/{name}/component.wasm")));
            push.args(["--canary", "0", "--admin", &format!("http://{}", host.admin.unwrap())]);
            let output = push
                .env_clear()
                .env("ORDERS_ADMIN_TOKEN", TOKEN)
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .output();
            let output = timeout(COMPILE_TIMEOUT, output).await.expect("it compiles in time").unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(host.get("/hello").await.status(), 200);
            let serving = crate::rollout::canary::serving(&host).await;
            let compiled = PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/")).join(name);
            std::fs::copy(folder.path().join(format!("{serving}.compiled")), &compiled).unwrap();
            compiled
        })
        .await
        .clone()
    }

    /// A host that serves the component with the default limits.
    async fn serve(self, options: &[&str]) -> TestHost {
        self.serve_with(options, &[]).await
    }

    async fn serve_with(self, options: &[&str], variables: &[(&str, &str)]) -> TestHost {
        let component = self.compiled().await;
        TestHost::start_with(&component, &[&["--trust-compiled"], options].concat(), variables).await
    }
}

#[tokio::test]
async fn a_javascript_component_serves() {
    check_serves(&JavaScript.serve(&[]).await, "Hello from JavaScript.\n").await;
}

#[tokio::test]
async fn a_python_component_serves() {
    check_serves(&Python.serve(&[]).await, "Hello from Python.\n").await;
}

async fn check_serves(host: &TestHost, sentence: &str) {
    let request = Request::get("/hello").header("x-request-id", "greeting").body(Full::default()).unwrap();
    let response = host.connect().await.send(request).await.unwrap();
    assert_eq!((response.status(), &response.body[..]), (200, sentence.as_bytes()));
    assert_eq!((response.field("content-type"), response.field("x-request-id")), ("text/plain", "greeting"));
    assert_eq!(host.log().access("greeting").await["end"], "whole");
    assert_eq!(host.get("/elsewhere").await.status(), 404);

    // Eight clients at once, each of which sends different bodies of 100 KB.
    let mut clients = Vec::new();
    for number in 0..8_u8 {
        let mut client = host.connect().await;
        clients.push(tokio::spawn(async move {
            for round in 0..5_u8 {
                let body: Vec<u8> = (0..100_000_u32).map(|at| number ^ round ^ at.to_le_bytes()[0]).collect();
                let request = Request::post("/echo").body(Full::new(body.clone().into())).unwrap();
                let response = client.send(request).await.unwrap();
                assert_eq!(response.status(), 200, "{response:?}");
                assert!(response.body == body, "the echo differs from the request body");
            }
        }));
    }
    for client in clients {
        within("a client to finish", client).await.unwrap();
    }
    let failures = host.log().lines().into_iter().filter(|line| line["level"] == "ERROR").count();
    assert_eq!(failures, 0, "{:#?}", host.log().lines());
}

/// The component imports all of WASI 0.2, but has no variable, argument, folder, input or network.
#[tokio::test]
async fn a_component_gets_no_access_to_its_environment() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let options = ["--allow-outbound", &format!("127.0.0.1:{port}")];
    let host = Python.serve_with(&options, &[("SECRET", "of the host")]).await;
    let response = host.get(&format!("/world?port={port}")).await;
    let nothing = json!({
        "variables": [],
        "arguments": [],
        "folder": null,
        "folders": [],
        "input": "StreamError_Closed",
        "connection": "ACCESS_DENIED",
        "server": "ACCESS_DENIED",
        "datagrams": "ACCESS_DENIED",
        // The error for every name, because no name is looked up.
        "name": "PERMANENT_RESOLVER_FAILURE",
    });
    assert_eq!(response.json(), nothing);
}

#[tokio::test]
async fn only_a_server_that_the_operator_allows_is_reached() {
    for language in [JavaScript, Python] {
        let mut upstream = Upstream::start().await;
        let server = format!("localhost:{}", upstream.port);
        let path = format!("/fetch?url=http://{server}/there");
        let rejected = language.serve(&[]).await.get(&path).await;
        assert_eq!(rejected.status(), 502, "{rejected:?}");
        upstream.check_unseen();

        let response = language.serve(&["--allow-outbound", &server]).await.get(&path).await;
        assert_eq!((response.status(), &response.body[..]), (203, &b"hello"[..]));
        assert!(upstream.request().await.starts_with("GET /there HTTP/1.1\r\n"));
    }
}
