//! The operators of an admin API with tokens: their names, and what each may do.

use http_body_util::Full;
use serde_json::Value;

use crate::{
    admin::requests::{TOKEN, problem},
    harness::{TestHost, TestResponse, fixture, run_with},
    rollout::canary::{event, promoted},
};

/// A token with which one can only read.
const READER: &str = "0d5a2f6be1c94a7788aa";

/// The tokens of a team.
fn tokens() -> String {
    format!("# who may push\nada {TOKEN}\n\ngrace {READER} read\nfedcba9876543210fedc\n")
}

async fn send(host: &TestHost, token: &str, method: &str, path: &str, body: Vec<u8>) -> TestResponse {
    let request = http::Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("Bearer {token}"));
    host.operator().await.send(request.body(Full::from(body)).unwrap()).await.unwrap()
}

#[tokio::test]
async fn whatever_is_done_is_logged_with_the_name_of_its_token() {
    let host = TestHost::with_token(&fixture("answers"), &[], &tokens()).await;
    let component = std::fs::read(fixture("remembers")).unwrap();
    let response = send(&host, TOKEN, "PUT", "/v1/modules", component).await;
    assert_eq!(response.status(), 202, "{response:?}");
    let module = response.json()["module"].as_str().unwrap().to_owned();
    promoted(&host, &module).await;
    assert_eq!(event(&host, &module, "module.received").await["by"], "ada");
    // A token without a name is that of `operator`.
    assert_eq!(send(&host, "fedcba9876543210fedc", "POST", "/v1/rollback", Vec::new()).await.status(), 200);
    assert_eq!(event(&host, &module, "rollout.rolled_back").await["by"], "operator");
    for name in ["ada", "operator"] {
        let accepted = |line: &Value| line["event"] == "admin.request_accepted" && line["operator"] == name;
        host.log().wait_for_count("the requests in the log", 1, accepted).await;
    }
    let secrets = [TOKEN, READER, "fedcba98"];
    let log = host.log().lines();
    assert!(!log.iter().any(|line| secrets.iter().any(|secret| line.to_string().contains(secret))));
}

#[tokio::test]
async fn a_token_to_read_changes_nothing() {
    let host = TestHost::with_token(&fixture("answers"), &[], &tokens()).await;
    let serving = send(&host, READER, "GET", "/v1/modules", Vec::new()).await.json();
    let module = serving["serving"]["module"].as_str().unwrap();
    assert_eq!(send(&host, READER, "GET", &format!("/v1/modules/{module}"), Vec::new()).await.status(), 200);
    let events = http::Request::get("/v1/events").header("authorization", format!("Bearer {READER}"));
    let events = host.operator().await.head(events.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(events.status(), 200);

    let component = std::fs::read(fixture("remembers")).unwrap();
    for (method, path, body) in [
        ("PUT", "/v1/modules", component),
        ("POST", "/v1/rollback", Vec::new()),
        ("POST", &format!("/v1/modules/{module}/activate"), Vec::new()),
    ] {
        let response = send(&host, READER, method, path, body).await;
        assert!(problem(&response, 403).contains("only read"), "{method} {path}");
    }
    let rejected = |line: &Value| line["event"] == "admin.request_rejected" && line["operator"] == "grace";
    host.log().wait_for_count("the rejections in the log", 3, rejected).await;
    assert_eq!(
        send(&host, READER, "GET", "/v1/modules", Vec::new()).await.json()["serving"]["module"],
        module
    );
}

/// Tokens that are configured are needed on a socket, too. A command presents the first one.
#[tokio::test]
async fn a_socket_with_tokens_needs_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("tokens"), tokens()).unwrap();
    std::fs::write(at("reader"), format!("grace {READER} read\n")).unwrap();
    let admin = format!("unix:{}", at("admin"));
    let options = ["--admin-listen", &admin, "--admin-token-file", &at("tokens")];
    let host = TestHost::fixture("answers", &options).await;
    let component = fixture("remembers").display().to_string();
    let push = ["module", "push", &component, "--canary", "0"];
    for (token_file, code, says) in [
        (None, 2, "requires the admin token"),
        (Some(at("reader")), 2, "only read"),
        (Some(at("tokens")), 0, ""),
    ] {
        let mut variables = vec![("ORDERS_ADMIN", admin.as_str())];
        variables.extend(token_file.as_deref().map(|file| ("ORDERS_ADMIN_TOKEN_FILE", file)));
        let ran = run_with(&variables, push).await;
        assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(says), "no {says:?} in {}", ran.stderr);
        if code == 0 {
            assert!(ran.stdout.contains("by a push (ada)"), "{}", ran.stdout);
        }
    }
    host.log().wait_for("the push", |line| line["event"] == "module.received" && line["by"] == "ada").await;
}

/// A name is logged, so a token in its place must not be taken for one.
#[tokio::test]
async fn a_line_in_the_wrong_order_ends_the_start_without_its_secrets() {
    let component = fixture("answers").display().to_string();
    for (line, says) in [
        (format!("read {READER}"), "write `NAME TOKEN read`"),
        (format!("{READER} read"), "needs a name: write `NAME TOKEN read`"),
        (format!("{TOKEN} {READER}"), "the name looks like a token"),
    ] {
        let variables = [("ORDERS_ADMIN_TOKEN", line.as_str()), ("ORDERS_COMPONENT", &component)];
        let ran =
            run_with(&variables, ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).await;
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "no {says:?} in {}", ran.stderr);
        assert!(![TOKEN, READER].iter().any(|secret| ran.stderr.contains(secret)), "{}", ran.stderr);
    }
}
