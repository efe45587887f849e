//! A start that fails: one clear line, exit code 2, nothing bound, nothing changed on disk.

use std::{collections::BTreeMap, fs, net::TcpListener, path::Path};

use rustix::process::Signal;

use crate::harness::{CommandOutput, TestHost, binary, fixture, orders, run, within};

/// A folder that a failed start must not change.
struct UnchangedFolder {
    folder: tempfile::TempDir,
    before: BTreeMap<String, Vec<u8>>,
}

impl UnchangedFolder {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let before = contents(folder.path());
        Self { folder, before }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            let bytes = if file.path().is_file() { fs::read(file.path()).unwrap() } else { Vec::new() };
            (file.file_name().into_string().unwrap(), bytes)
        })
        .collect()
}

/// Starts the service with valid options, overridden by `options`, and checks how the start fails.
async fn check_start_fails(folder: &UnchangedFolder, options: &[&str], expected: &[&str]) -> CommandOutput {
    let mut arguments = vec!["serve".to_owned()];
    let store = format!("sqlite:{}", folder.path("fresh.db"));
    let component = orders().display().to_string();
    for (option, value) in [
        ("--component", component.as_str()),
        ("--store", &store),
        ("--listen", "127.0.0.1:0"),
        ("--admin-listen", "off"),
    ] {
        let file = format!("{option}-file");
        if !options.iter().any(|given| *given == option || *given == file) {
            arguments.extend([option.to_owned(), value.to_owned()]);
        }
    }
    arguments.extend(options.iter().map(|option| (*option).to_owned()));
    let ran = run(&arguments).await;
    assert_eq!(ran.code, Some(2), "{options:?}: {}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{options:?}: {}", ran.stderr);
    for part in expected {
        assert!(ran.stderr.contains(part), "{options:?}: no {part:?} in {}", ran.stderr);
    }
    assert!(!ran.stdout.contains("service.started"), "{options:?}: {}", ran.stdout);
    assert_eq!(contents(folder.folder.path()), folder.before, "{options:?}");
    ran
}

#[tokio::test]
async fn invalid_options_are_rejected() {
    let folder = UnchangedFolder::new(&[]);
    for (options, says) in [
        (&["--no-such-option"][..], &["--no-such-option", "--help"][..]),
        (&["--componen", "x"], &["'--component'", "--help"]),
        (&["--store", "redis:somewhere"], &["redis:somewhere", "`sqlite:PATH`", "`memory:`"]),
        (&["--store", "sqlite:"], &["`sqlite:PATH`", "`memory:`"]),
        (&["--store-file", "/no/such"], &["--store-file \"/no/such\"", "No such file"]),
        (
            &["--store", "memory:", "--store-file", "x"],
            &["--store <STORE>", "cannot be used with", "--store-file"],
        ),
        (
            &["--store", "postgres://localhost", "--store-connections", "1"],
            &["--store-connections", "2..=200"],
        ),
        (&["--listen", "localhost"], &["--listen", "localhost"]),
        (&["--request-timeout", "10"], &["--request-timeout", "`10s`"]),
        (&["--request-timeout", "0s"], &["--request-timeout", "longer than zero"]),
        (&["--drain-timeout", "99d"], &["--drain-timeout", "24h"]),
        (&["--max-body", "much"], &["--max-body", "`1MiB`"]),
        (&["--max-body", "9GiB"], &["--max-body", "2 GiB"]),
        (&["--max-body", "65MiB"], &["--max-buffered", "--max-body"]),
        (&["--max-concurrent", "0"], &["--max-concurrent", "1..=10000"]),
        (&["--instance-reuse", "0"], &["--instance-reuse", "1..=1000000"]),
        (&["--keep-modules", "0"], &["--keep-modules", "1..=1000"]),
        (&["--threads", "0"], &["--threads", "1 to 1024", "`auto`"]),
        (&["--threads", "many"], &["--threads", "1 to 1024", "`auto`"]),
        (&["--log", "loud=really"], &["--log", "loud"]),
    ] {
        check_start_fails(&folder, options, says).await;
    }
    let ran = run(["serve"]).await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("--component"), "{}", ran.stderr);
    let ran = run([] as [&str; 0]).await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("serve, healthcheck, inspect, compile"), "{}", ran.stderr);
}

#[tokio::test]
async fn an_invalid_component_is_rejected() {
    let good = fs::read(orders()).unwrap();
    let folder = UnchangedFolder::new(&[
        ("empty.wasm", b""),
        ("truncated.wasm", &good[..good.len() / 2]),
        ("text.wasm", b"#!/bin/sh\n"),
        ("core.wasm", b"\0asm\x01\x00\x00\x00"),
        ("no-handler.wasm", b"\0asm\x0d\x00\x01\x00"),
    ]);
    for (name, says) in [
        ("missing.wasm", "No such file"),
        (".", "not a regular file"),
        ("empty.wasm", "the file is empty"),
        ("truncated.wasm", "does not compile"),
        ("text.wasm", "not WebAssembly"),
        ("core.wasm", "a core module"),
        ("no-handler.wasm", "wasi:http/incoming-handler"),
    ] {
        let path = folder.path(name);
        check_start_fails(&folder, &["--component", &path], &[&path, says]).await;
    }
    for (component, says) in [
        (fixture("imports_mail"), "acme:mail/send@1.0.0"),
        (fixture("imports_newer_store"), "orders:state/store@9.0.0"),
    ] {
        let path = component.to_str().unwrap();
        check_start_fails(&folder, &["--component", path], &[path, "does not offer", says]).await;
    }
}

#[tokio::test]
async fn a_component_that_cannot_be_instantiated_is_rejected() {
    let folder = UnchangedFolder::new(&[]);
    for (component, says) in
        [(fixture("traps_at_start"), "unreachable"), (fixture("spins_at_start"), "deadline")]
    {
        let path = component.to_str().unwrap();
        check_start_fails(&folder, &["--component", path], &[path, "it does not start", says]).await;
    }
    check_start_fails(&folder, &["--component", "/dev/zero"], &["/dev/zero", "not a regular file"]).await;
}

/// A component that needs more memory than allowed is rejected at the start, not with each request.
#[tokio::test]
async fn a_component_that_needs_too_much_memory_is_rejected() {
    let folder = UnchangedFolder::new(&[]);
    check_start_fails(&folder, &["--max-memory", "64KiB"], &["orders.wasm", "cannot be loaded", "minimum"])
        .await;
}

#[tokio::test]
async fn instances_that_may_need_more_memory_than_there_is_are_a_warning() {
    let warns =
        |host: &TestHost| host.log().lines().into_iter().find(|line| line["event"] == "memory.overcommitted");
    let host = TestHost::fixture("answers", &["--max-memory", "2GiB", "--max-concurrent", "4000"]).await;
    let warning = warns(&host).expect("a warning before the start");
    assert_eq!(warning["level"], "WARN");
    assert_eq!(warning["needed"], 4000_u64 << 31, "{warning}");
    assert!(warning["available"].as_u64() < warning["needed"].as_u64(), "{warning}");
    let host = TestHost::fixture("answers", &["--max-memory", "8MiB", "--max-concurrent", "4"]).await;
    assert_eq!(warns(&host), None);
}

#[tokio::test]
async fn an_unavailable_address_ends_the_start() {
    let folder = UnchangedFolder::new(&[]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check_start_fails(&folder, &["--listen", &address], &[&address, "in use"]).await;
    check_start_fails(&folder, &["--listen", "192.0.2.1:80"], &["192.0.2.1:80"]).await;
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_ends_the_start() {
    let folder = UnchangedFolder::new(&[("garbage.db", &[b'x'; 8192])]);
    let at = |name: &str| format!("sqlite:{}", folder.path(name));
    for (location, says) in [
        (at("no/such/folder.db"), "no/such"),
        (at("."), "directory"),
        (at("garbage.db"), "garbage.db"),
        ("sqlite:/proc/orders.db".to_owned(), "/proc/orders.db"),
    ] {
        check_start_fails(&folder, &["--store", &location], &[says]).await;
    }
}

/// What is quick to check comes before the component is compiled, and before the service listens.
#[tokio::test]
async fn quick_checks_come_first() {
    let folder = UnchangedFolder::new(&[("garbage.db", &[b'x'; 8192])]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let used = tempfile::tempdir().unwrap();
    let used = used.path().to_str().unwrap();
    let _other = TestHost::orders(&["--module-dir", used]).await;
    let token_file = tempfile::NamedTempFile::new().unwrap();
    fs::write(token_file.path(), "0123456789abcdef").unwrap();
    let token = token_file.path().to_str().unwrap();
    let (missing, garbage) = (folder.path("no/such.db"), folder.path("garbage.db"));
    for (options, says) in [
        (&["--listen", &address][..], "in use"),
        (&["--admin-listen", &address, "--admin-token-file", token], "in use"),
        (&["--store", &format!("sqlite:{missing}")], "does not exist"),
        (&["--store", &format!("sqlite:{garbage}")], "not a SQLite database"),
        (&["--store", "postgres://localhost/x?sslmode=verify-full&sslrootcert=/no/such"], "sslrootcert"),
        (&["--trusted-keys", "/no/such/keys"], "/no/such/keys"),
        (&["--module-dir", used], "another process uses it"),
        (&["--admin-listen", "127.0.0.1:0", "--admin-token-file", "/no/such/token"], "/no/such/token"),
    ] {
        let ran = check_start_fails(&folder, options, &[says]).await;
        for event in ["module.compiled", "service.listening"] {
            assert!(!ran.stdout.contains(event), "{options:?}: {}", ran.stdout);
        }
    }
}

/// The service answers health probes while it prepares its module, so that nobody restarts it.
#[tokio::test]
async fn a_service_that_starts_is_healthy_and_not_ready() {
    // On a busy machine, a start may be over before the test has asked.
    for _ in 0..20 {
        let mut host = TestHost::launch(&fixture("starts_slowly"), &["--max-cpu", "10m"]).await;
        let mut client = host.connect().await;
        assert_eq!(client.get("/health").await.status(), 200);
        let responses = [client.get("/ready").await, client.get("/docs").await, client.get("/").await];
        host.wait_until_serving().await;
        assert_eq!(client.get("/ready").await.status(), 200);
        if responses.iter().all(|response| response.status() == 503) {
            for response in responses {
                assert!(response.host_problem(503).contains("starting"), "{response:?}");
                assert_eq!(response.field("retry-after"), "1");
            }
            return;
        }
    }
    panic!("the starts were too fast to be seen");
}

#[tokio::test]
async fn a_signal_ends_a_start() {
    let mut host = TestHost::launch(&fixture("starts_slowly"), &[]).await;
    host.signal(Signal::TERM);
    assert_eq!(host.exit().await.code(), Some(0));
    host.log().wait_for("the line", |line| line["event"] == "service.start_aborted").await;
}

/// Each option can be given as an environment variable; the command line takes precedence.
#[tokio::test]
async fn the_command_line_takes_precedence_over_variables() {
    let stderr = async |variable: &str, value: &str, arguments: &[&str]| {
        let mut command = tokio::process::Command::new(binary());
        command.env_clear().env(variable, value).arg("serve").args(arguments);
        let output = within("the start to fail", command.output()).await.unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let message = stderr("ORDERS_COMPONENT", "/from/variable.wasm", &[]).await;
    assert!(message.contains("/from/variable.wasm"), "{message}");
    let message =
        stderr("ORDERS_COMPONENT", "/from/variable.wasm", &["--component", "/from/option.wasm"]).await;
    assert!(message.contains("/from/option.wasm") && !message.contains("variable"), "{message}");
    let message = stderr("ORDERS_REQUEST_TIMEOUT", "soon", &["--component", "/from/option.wasm"]).await;
    assert!(message.contains("soon") && message.contains("--request-timeout"), "{message}");
}

/// With fewer open files than connections, the service would fail under load. So the limit is checked at the start. The
/// connections of operators count, too.
#[tokio::test]
async fn a_limit_of_open_files_below_max_connections_ends_the_start() {
    for (connections, says) in
        [("2048", "3136 open files are needed, 704 of them for the admin port"), ("100", "1188 open files")]
    {
        let mut command = tokio::process::Command::new("prlimit");
        command.args(["--nofile=500:500"]).arg(binary()).args(["serve", "--store", "memory:"]);
        command.args(["--admin-listen", "unix:admin"]);
        let output =
            command.args(["--max-connections", connections]).arg("--component").arg(orders()).output();
        let output = within("the start to fail", output).await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
        for says in [says, "may have 500", "--max-connections"] {
            assert!(stderr.contains(says), "no {says:?} in {stderr}");
        }
    }
}

/// A restart can follow immediately, on the same address and the same store.
#[tokio::test]
async fn a_restart_can_reuse_the_address_and_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let location = format!("sqlite:{}", folder.path().join("orders.db").display());
    let mut host = TestHost::orders(&["--store", &location]).await;
    let address = host.address.to_string();
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    host.signal(Signal::TERM);
    host.exit().await;
    let host = TestHost::orders(&["--store", &location, "--listen", &address]).await;
    let listed = host.get("/api/v1/orders").await;
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 1);
}

/// A wrapper that starts the program, and the setting that the error must name.
#[tokio::test]
async fn an_error_names_the_setting_that_denies_memory() {
    // As systemd's MemoryDenyWriteExecute= does it, from Linux 6.3 on: PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN.
    let deny = "import ctypes, os, sys\n\
                if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0: sys.exit(77)\n\
                os.execv(sys.argv[1], sys.argv[1:])";
    let component = orders().display().to_string();
    let serve =
        ["serve", "--store", "memory:", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--component"];
    let inspect = ["inspect"];
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("orders.cwasm").display().to_string();
    let compile = ["compile", "--output", &code];
    for (wrapper, command, names) in [
        (&["prlimit", "--as=4000000000"][..], &serve[..], "ulimit -v"),
        (&["python3", "-c", deny], &serve, "MemoryDenyWriteExecute="),
        (&["python3", "-c", deny], &inspect, "MemoryDenyWriteExecute="),
        (&["python3", "-c", deny], &compile, "MemoryDenyWriteExecute="),
    ] {
        let mut ran = tokio::process::Command::new(wrapper[0]);
        ran.args(&wrapper[1..]).arg(binary()).args(command).arg(&component).kill_on_drop(true);
        let ran = within("the start to fail", ran.output()).await.unwrap();
        if ran.status.code() == Some(77) {
            eprintln!("skipped: this kernel has no PR_SET_MDWE");
            continue;
        }
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(!ran.status.success() && said.contains(names), "{command:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// Whatever is refused first, the memory of a thread or that of the pool.
#[tokio::test]
async fn a_start_without_address_space_ends_with_a_sentence() {
    let start = async |megabytes: u32| {
        let mut start = tokio::process::Command::new("prlimit");
        start.arg(format!("--as={megabytes}000000")).arg(binary());
        start.args(["serve", "--store", "memory:", "--listen", "127.0.0.1:0", "--admin-listen", "off"]);
        let start = start.arg("--component").arg(orders()).kill_on_drop(true).output();
        within("the start to fail", start).await.unwrap()
    };
    for megabytes in (120..260).step_by(10) {
        let ran = start(megabytes).await;
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{megabytes} MB: {said}");
        assert!(said.starts_with("orders-host: ") && said.contains("ulimit -v"), "{megabytes} MB: {said}");
        assert_eq!(said.lines().count(), 1, "{megabytes} MB: {said}");
    }
}
