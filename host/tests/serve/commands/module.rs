//! `orders-host module push`, `list`, `status` and `rollback`, as an operator runs them.

use std::fs;

use orders_host::module::hash::ModuleHash;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::{
    admin::requests::TOKEN,
    harness::{self, CommandOutput, TestHost, fixture, run, run_with},
    rollout::swap::compiled,
};

/// Runs `orders-host module …` against this host.
pub async fn module(host: &TestHost, arguments: &[&str]) -> CommandOutput {
    let url = format!("http://{}", host.admin.unwrap());
    run_with(
        &[("ORDERS_ADMIN", &url), ("ORDERS_ADMIN_TOKEN", harness::TOKEN)],
        ["module"].iter().chain(arguments),
    )
    .await
}

pub fn path(name: &str) -> String {
    fixture(name).display().to_string()
}

/// The first digits of a file's hash.
pub fn short(file: &str) -> String {
    ModuleHash::digest(&fs::read(file).unwrap()).short()
}

/// Checks that a command failed with this exit code, and with these parts in its one line of standard error.
pub fn check_failed(ran: &CommandOutput, code: i32, says: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    for part in says {
        assert!(ran.stderr.contains(part), "no {part:?} in {}", ran.stderr);
    }
    for never in ["HTTP/1.1", "Authorization", "Bearer", TOKEN, "problem+json", "\u{1b}"] {
        assert!(!ran.stderr.contains(never), "{never:?} in {}", ran.stderr);
    }
}

/// Checks that standard output contains these parts in this order.
pub fn check_said(ran: &CommandOutput, parts: &[&str]) {
    let mut rest = ran.stdout.as_str();
    for part in parts {
        let (_, after) = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("{part:?} is missing or out of order: {}", ran.stdout));
        rest = after;
    }
    assert!(!ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
}

#[tokio::test]
async fn a_module_is_pushed_shown_and_rolled_back() {
    let host = TestHost::fixture("answers", &["--smoke", "GET /"]).await;
    let (before, file) = (short(&path("answers")), path("remembers"));
    let after = short(&file);
    let ran = module(&host, &["rollback"]).await;
    check_failed(&ran, 1, &["no module to roll back to"]);
    assert_eq!(ran.stdout, "");

    let ran = module(&host, &["push", &file]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    let steps =
        ["pushing", &after, &before, "\nreceived", "\ncompiled", "\nloaded", "\nanswered", "GET / with 200"];
    check_said(&ran, &[&steps[..], &["\npromoted", "it serves all requests"]].concat());
    assert_eq!(ran.stdout.lines().count(), 6, "{}", ran.stdout);
    assert_eq!(host.get("/").await.body, "request 1 of this instance");

    let ran = module(&host, &["push", &file]).await;
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 1), "{}", ran.stderr);
    check_said(&ran, &[&after, "already serves"]);

    let ran = module(&host, &["list"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let rows: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 3, "{}", ran.stdout);
    assert_eq!((rows[1][0], rows[1][1], rows[2][0], rows[2][1]), ("serving", &*after, "replaced", &*before));

    let ran = module(&host, &["status"]).await;
    check_said(&ran, &["serving", &after, "1 requests, 0 failed", "previous", &before, "--module-dir"]);
    let ran = module(&host, &["status", &after.get(..5).unwrap().to_uppercase()]).await;
    check_said(&ran, &["module  ", &after, "state   serving", "size", "total", "1 requests"]);
    for command in [&["list", "--json"][..], &["status", "--json"]] {
        let ran = module(&host, command).await;
        let json: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert!(json["serving"]["module"].as_str().unwrap().starts_with(&after), "{json}");
    }
    let ran = module(&host, &["status", &after, "--json"]).await;
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&json["state"], &json["done"]["requests"]), (&"serving".into(), &1.into()));
    check_failed(
        &module(&host, &["status", "0000000"]).await,
        1,
        &["no known module", "0000000", "module list"],
    );

    let ran = module(&host, &["rollback"]).await;
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("{before} serves again\n")), "{}", ran.stderr);
    assert_eq!(host.get("/").await.body, "hello\n");
    let ran = module(&host, &["status", &after]).await;
    check_said(&ran, &["state   rolled back", "why     operator request"]);
}

#[tokio::test]
async fn a_module_that_fails_a_check_is_refused_with_the_reason() {
    let host = TestHost::fixture("answers", &["--smoke", "GET /"]).await;
    let before = short(&path("answers"));
    for (name, says) in [("imports_mail", "acme:mail/send@1.0.0"), ("traps", "smoke request GET /: ")] {
        let file = path(name);
        let hash = short(&file);
        let ran = module(&host, &["push", &file]).await;
        check_failed(&ran, 1, &[&hash, "was refused", says]);
        check_said(&ran, &["received", &format!("refused      {before} still serves")]);
        check_said(&module(&host, &["list"]).await, &["refused", &hash, says]);
    }
    assert_eq!(host.get("/").await.body, "hello\n");
}

/// The command itself finds these faults, and uploads nothing.
#[tokio::test]
async fn a_file_that_is_not_a_component_is_not_uploaded() {
    let host = TestHost::fixture("answers", &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let large = file("large.wasm", b"\0asm\x0d\x00\x01\x00");
    fs::File::options().write(true).open(&large).unwrap().set_len((64 << 20) + 1).unwrap();
    let (native, _) = compiled().await;
    for (file, says) in [
        (folder.path().join("missing.wasm").display().to_string(), "No such file"),
        (folder.path().display().to_string(), "not a regular file"),
        (file("empty.wasm", b""), "empty"),
        (file("text.wasm", b"hello"), "not WebAssembly"),
        (file("core.wasm", b"\0asm\x01\x00\x00\x00"), "a core module"),
        (native.display().to_string(), "compiled"),
        (large, "67108864 bytes"),
    ] {
        let ran = module(&host, &["push", &file]).await;
        check_failed(&ran, 2, &[&file, says]);
        assert_eq!(ran.stdout, "");
    }
    let received = |line: &&Value| line["event"] == "module.received";
    assert_eq!(host.log().lines().iter().filter(received).count(), 1);
}

/// Every command says in one line what to check.
#[tokio::test]
async fn an_unreachable_service_is_reported_in_one_line() {
    let host = TestHost::fixture("answers", &[]).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let file = path("remembers");
    let commands =
        [&["push", &file][..], &["activate", "00"], &["list"], &["status"], &["status", "00"], &["rollback"]];
    for (url, says) in [
        (format!("http://{gone}"), vec!["cannot reach", "refused", "--admin-listen", "ORDERS_ADMIN"]),
        (format!("http://{}", host.address), vec!["not the admin API of an orders-host"]),
        (
            "http://no-such-host.invalid:9090".to_owned(),
            vec!["cannot reach http://no-such-host.invalid:9090"],
        ),
    ] {
        for command in commands {
            let ran = run(["module"].iter().chain(command).chain(&["--admin", &url])).await;
            check_failed(&ran, 2, &says);
            assert!(ran.stderr.contains(&url) && ran.stdout.is_empty(), "{}{}", ran.stdout, ran.stderr);
        }
    }
    let ran = run(["module", "list", "--admin", "https://127.0.0.1:9090"]).await;
    check_failed(&ran, 2, &["plain HTTP", "SSH tunnel"]);
}

#[tokio::test]
async fn the_token_is_sent_but_never_printed_or_logged() {
    let host = TestHost::with_token(&fixture("answers"), &["--smoke", "GET /"], TOKEN).await;
    let url = format!("http://{}", host.admin.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("token"), format!("{TOKEN}\n")).unwrap();
    fs::write(at("wrong"), "0123456789abcdef0123").unwrap();
    fs::write(at("short"), "abc").unwrap();
    let list = ["module", "list", "--admin", &url];
    for (variables, options, says) in [
        (vec![], vec![], Some("requires the admin token")),
        (vec![("ORDERS_ADMIN_TOKEN", TOKEN)], vec![], None),
        (vec![("ORDERS_ADMIN_TOKEN", "0123456789abcdef0123")], vec![], Some("rejected the token")),
        (vec![("ORDERS_ADMIN_TOKEN", "abc")], vec![], Some("at least 16")),
        (vec![], vec!["--admin-token-file".to_owned(), at("token")], None),
        (vec![("ORDERS_ADMIN_TOKEN_FILE", &*at("token"))], vec![], None),
        (
            vec![("ORDERS_ADMIN_TOKEN", TOKEN)],
            vec!["--admin-token-file".to_owned(), at("wrong")],
            Some("rejected the token"),
        ),
        (vec![], vec!["--admin-token-file".to_owned(), at("short")], Some("at least 16")),
        (vec![], vec!["--admin-token-file".to_owned(), at("missing")], Some("No such file")),
    ] {
        let ran = run_with(&variables, list.iter().map(|part| (*part).to_owned()).chain(options)).await;
        match says {
            None => assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), "")),
            Some(says) => check_failed(&ran, 2, &[says]),
        }
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(TOKEN));
    }
    let ran =
        run_with(&[("ORDERS_ADMIN_TOKEN", TOKEN)], ["module", "push", &path("remembers"), "--admin", &url])
            .await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(!ran.stdout.contains(TOKEN));
    assert!(!host.log().lines().iter().any(|line| line.to_string().contains(TOKEN)));
}

/// `--help` of each command lists its exit codes.
#[tokio::test]
async fn help_lists_the_exit_codes() {
    for command in ["push", "activate", "list", "status", "rollback"] {
        let ran = run(["module", command, "--help"]).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        for part in ["Exit code: 0 if ", "2 if ", "--admin <URL>", "ORDERS_ADMIN", "--admin-token-file"] {
            assert!(ran.stdout.contains(part), "{command}: no {part:?} in {}", ran.stdout);
        }
    }
    for (odd, says) in [
        (&["push"][..], "see `orders-host module push --help`"),
        (&["push", "x", "--canary", "200%"], "--canary"),
        (&["activate", "0a", "--control", "51%"], "--control"),
        (&["activate"], "see `orders-host module activate --help`"),
        (&["status", "xyz"], "xyz"),
        (&["status", "--json", "--watch"], "see `orders-host module status --help`"),
    ] {
        let ran = run(["module"].iter().chain(odd)).await;
        check_failed(&ran, 2, &["orders-host: ", says]);
    }
}
