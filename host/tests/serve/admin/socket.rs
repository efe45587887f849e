//! The Unix socket of the admin API: whose it is, when there is none, and what becomes of it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::{Signal, geteuid};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    harness::{TestHost, fixture, run, run_with, within},
    rollout::canary::{ask, event, promoted, push, serving},
};

/// A host with the default endpoint, as a user's process has it.
async fn default_host(runtime: &Path, options: &[&str]) -> TestHost {
    let runtime = runtime.display().to_string();
    let options = [&["--admin-listen", "auto"], options].concat();
    TestHost::start_with(&fixture("answers"), &options, &[("XDG_RUNTIME_DIR", &runtime)]).await
}

fn socket_of(runtime: &Path, host: &TestHost) -> PathBuf {
    runtime.join(format!("orders-host/{}.sock", host.address.port()))
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

#[tokio::test]
async fn a_socket_of_the_users_own_is_the_default() {
    let runtime = tempfile::tempdir().unwrap();
    let mut host = default_host(runtime.path(), &[]).await;
    let path = socket_of(runtime.path(), &host);
    assert_eq!(host.admin_address, Some(format!("unix:{}", path.display())));
    assert_eq!(host.admin, None);
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

    // Whatever is done is logged with the user.
    let (before, user) = (serving(&host).await, format!("uid:{}", geteuid().as_raw()));
    let module = push(&host, &fixture("remembers"), "").await;
    promoted(&host, &module).await;
    assert_eq!(event(&host, &module, "module.received").await["by"], user);
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.json()["module"], before);
    assert_eq!(event(&host, &module, "rollout.rolled_back").await["by"], user);
    let accepted = |line: &Value| {
        line["event"] == "admin.request_accepted" && line["operator"] == user && line["client"] == user
    };
    host.log().wait_for_count("the requests in the log", 2, accepted).await;
    host.signal(Signal::TERM);
    assert!(host.exit().await.success());
    assert!(!path.exists());
}

/// The socket itself keeps other users out, wherever it is.
#[tokio::test]
async fn another_user_cannot_open_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("admin");
    let listen = format!("unix:{}", path.display());
    let host = TestHost::fixture("answers", &["--admin-listen", &listen]).await;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(ask(&host, "GET", "/v1/modules", "").await.status(), 200);
    // Only root can become another user.
    for (user, code) in [("0", 0), ("65534", 7)].into_iter().filter(|_| geteuid().is_root()) {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--clear-groups", "curl", "--silent", "--unix-socket"]).arg(&path);
        command.arg("http://localhost/v1/modules").stdout(Stdio::null()).kill_on_drop(true);
        let status = within("the end of curl", command.status()).await.unwrap();
        // curl exits with 7 if it cannot connect.
        assert_eq!(status.code(), Some(code), "user {user}");
    }
}

/// A start may wait for its store for minutes. What fails then must not have created one.
#[tokio::test]
async fn a_path_that_was_taken_during_a_start_is_not_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let (path, location, store) =
        (folder.path().join("admin"), folder.path().join("location"), folder.path().join("orders.db"));
    let listen = format!("unix:{}", path.display());
    fs::write(&location, "postgres://postgres@127.0.0.1:1/x").unwrap();
    let (options, variables) =
        (["--admin-listen", &listen], [("ORDERS_STORE_FILE", location.to_str().unwrap())]);
    let mut waiting = TestHost::launch_with(&fixture("answers"), &options, &variables).await;
    waiting.log().wait_for("the wait", |line| line["event"] == "store.waiting").await;
    let other = TestHost::fixture("answers", &options).await;

    fs::write(&location, format!("sqlite:{}", store.display())).unwrap();
    assert_eq!(waiting.exit().await.code(), Some(2));
    assert!(!waiting.log().lines().iter().any(|line| line["message"] == "serving"));
    assert!(!store.exists());
    assert_eq!(ask(&other, "GET", "/v1/modules", "").await.status(), 200);
}

#[tokio::test]
async fn a_socket_that_was_left_is_replaced_and_one_that_is_used_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin");
    let listen = format!("unix:{}", path.display());
    let mut killed = TestHost::fixture("answers", &["--admin-listen", &listen]).await;
    killed.signal(Signal::KILL);
    killed.exit().await;
    assert!(path.exists());
    let mut host = TestHost::fixture("answers", &["--admin-listen", &listen]).await;
    assert_eq!(ask(&host, "GET", "/v1/modules", "").await.status(), 200);

    let component = fixture("answers").display().to_string();
    let serve = ["serve", "--component", &component, "--store", "memory:", "--listen", "127.0.0.1:0"];
    let file = folder.path().join("file");
    fs::write(&file, "kept").unwrap();
    let long = folder.path().join("x".repeat(100));
    let deep = "x".repeat(90 - folder.path().as_os_str().len());
    for (path, says) in [
        (&path, "another process listens there"),
        (&file, "no socket"),
        (&long, "too long"),
        (&folder.path().join(&deep).join("a"), "has at most 107 bytes, and that of its folder 90"),
        (&folder.path().join("missing/admin"), "No such file"),
    ] {
        let listen = format!("unix:{}", path.display());
        let ran = run(serve.iter().chain(&["--admin-listen", &listen])).await;
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
        for says in [says, &listen, "--admin-listen"] {
            assert!(ran.stderr.contains(says), "no {says:?} in {}", ran.stderr);
        }
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    assert_eq!(ask(&host, "GET", "/v1/modules", "").await.status(), 200);

    // A socket that another process has put in its place is not removed.
    fs::remove_file(&path).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    host.signal(Signal::TERM);
    assert!(host.exit().await.success());
    assert!(path.exists());
}

#[tokio::test]
async fn without_a_folder_of_the_users_own_there_is_no_admin_api_and_one_line_says_so() {
    let shared = tempfile::tempdir().unwrap();
    fs::set_permissions(shared.path(), Permissions::from_mode(0o777)).unwrap();
    let shared = shared.path().display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    let link = link.display().to_string();
    for (variables, why) in [
        (vec![], "XDG_RUNTIME_DIR, the variable that names the folder of a user's sockets, is not set"),
        (vec![("XDG_RUNTIME_DIR", "")], "is not an absolute path"),
        (vec![("XDG_RUNTIME_DIR", "relative")], "is not an absolute path"),
        (vec![("XDG_RUNTIME_DIR", link.as_str())], "link is a symbolic link; name its target instead"),
        (vec![("XDG_RUNTIME_DIR", "/nowhere")], "/nowhere: No such file"),
        (vec![("XDG_RUNTIME_DIR", shared.as_str())], "others can write"),
    ] {
        let host = TestHost::start_with(&fixture("answers"), &["--admin-listen", "auto"], &variables).await;
        assert_eq!(host.admin_address, None);
        let off = |line: &Value| line["event"] == "admin.off";
        let lines: Vec<_> = host.log().lines().into_iter().filter(off).collect();
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert!(line["why"].as_str().unwrap().contains(why), "no {why:?} in {line}");
        assert_eq!(line["level"], "INFO");
    }
    let host = TestHost::fixture("answers", &["--admin-listen", "off"]).await;
    assert_eq!(host.admin_address, None);
    assert!(!host.log().lines().iter().any(|line| line["event"] == "admin.off"));
}

/// A command finds the socket of the only service.
#[tokio::test]
async fn a_command_takes_the_only_socket_and_lists_several() {
    let runtime = tempfile::tempdir().unwrap();
    let variable = [("XDG_RUNTIME_DIR", runtime.path().to_str().unwrap())];
    let list = ["module", "list"];
    let failed = async |variables: &[(&str, &str)], says: &[&str]| {
        let ran = run_with(variables, list).await;
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
        for says in says.iter().chain(&["--admin", "ORDERS_ADMIN"]) {
            assert!(ran.stderr.contains(says), "no {says:?} in {}", ran.stderr);
        }
    };
    failed(&[], &["XDG_RUNTIME_DIR", "is not set"]).await;
    failed(&[("XDG_RUNTIME_DIR", "relative")], &["XDG_RUNTIME_DIR", "is not an absolute path"]).await;
    for (target, says) in [
        ("http://127.0.0.1:80800", "a port is a number from 1 to 65535"),
        ("off", "`off` is a value of --admin-listen"),
        (&format!("unix:/{}", "x".repeat(107)), "at most 107 bytes"),
    ] {
        failed(&[("ORDERS_ADMIN", target)], &[says]).await;
    }
    failed(&variable, &["no service", runtime.path().to_str().unwrap()]).await;

    let first = default_host(runtime.path(), &[]).await;
    let first_socket = socket_of(runtime.path(), &first);
    // Sockets that were left do not count.
    drop(std::os::unix::net::UnixListener::bind(runtime.path().join("orders-host/1.sock")).unwrap());
    let ran = run_with(&variable, list).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let file = fixture("remembers").display().to_string();
    let ran = run_with(&variable, ["module", "push", &file, "--canary", "0"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let target = format!("to unix:{}, where", first_socket.display());
    assert!(ran.stdout.contains(&target), "no {target:?} in {}", ran.stdout);

    let second = default_host(runtime.path(), &[]).await;
    let second_socket = socket_of(runtime.path(), &second);
    let names = [&first_socket, &second_socket].map(|path| format!("unix:{}", path.display()));
    failed(&variable, &["several", &names[0], &names[1]]).await;
    for (name, module) in [(&names[0], "remembers"), (&names[1], "answers")] {
        let ran = run_with(&variable, ["module", "status", "--json", "--admin", name]).await;
        let status: Value = serde_json::from_str(&ran.stdout).unwrap();
        let module = crate::commands::module::short(&fixture(module).display().to_string());
        assert!(status["serving"]["module"].as_str().unwrap().starts_with(&module), "{name}: {status}");
    }
}
