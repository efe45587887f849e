//! A file that is mounted without its folder: its log would be lost with the container.

use std::{env, fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::{children::ChildProcess, support::make_store};

/// Mounts `from` at `at` in a name space of its own, and opens the store there. `None` if this system does not allow that.
fn opened_with_mount(from: &Path, at: &Path, store: &Path) -> Option<String> {
    let may_mount = |options: &[&str]| {
        Command::new("unshare").args(options).arg("true").output().is_ok_and(|ended| ended.status.success())
    };
    let options = [&["--mount"][..], &["--user", "--map-root-user", "--mount"]];
    let options = options.into_iter().find(|options| may_mount(options))?;
    let mut command = Command::new("unshare");
    command.args(options).args(["sh", "-c", "mount --bind \"$0\" \"$1\" && shift && exec \"$@\""]);
    command.args([from, at]).arg(env::current_exe().unwrap());
    let mut child = ChildProcess::start(command, "child_opens");
    child.send(store.to_str().unwrap());
    let says = child.receive();
    child.finish();
    Some(says)
}

#[tokio::test]
async fn a_file_that_is_mounted_without_its_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let [outside, inside] = ["outside", "inside"].map(|name| folder.path().join(name));
    for path in [&outside, &inside] {
        fs::create_dir(path).unwrap();
    }
    let mounted = inside.join("orders.db");
    let store = outside.join("orders.db");
    for with_content in [false, true] {
        fs::write(&store, "").unwrap();
        if with_content {
            make_store(&store).await;
        }
        fs::write(&mounted, "").unwrap();
        let Some(says) = opened_with_mount(&store, &mounted, &mounted) else {
            eprintln!("skipped: this user may not mount anything");
            return;
        };
        assert!(says.contains("mount the folder") && says.contains("inside"), "{says}");
        fs::remove_file(&mounted).unwrap();
    }
    assert_eq!(opened_with_mount(&outside, &inside, &mounted).unwrap(), "opened", "the folder is mounted");
}
