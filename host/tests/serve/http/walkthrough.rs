//! Runs the commands of `docs/life-of-an-order.md`, and those of `docs/backup.md` that practise a restore, and compares their
//! output with the pages.

use std::{env, path::Path, process::Stdio};

use tokio::process::Command;

use crate::harness::{TestHost, binary, list_all, orders, within};

const WALKTHROUGH: &str = include_str!("../../../../docs/life-of-an-order.md");
const BACKUP: &str = include_str!("../../../../docs/backup.md");

/// A command of a page, and the output that the page shows for it: the status line, and header fields in lower case.
struct Step {
    command: &'static str,
    shown: Vec<&'static str>,
}

/// The steps of a page, or of a part of one: a block that begins with `$ ` consists of commands and their output.
fn steps(page: &'static str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_run = false;
    for line in page.lines() {
        let Some(line) = line.strip_prefix("    ") else {
            is_run = false;
            continue;
        };
        match line.strip_prefix("$ ") {
            Some(command) => {
                steps.push(Step { command, shown: Vec::new() });
                is_run = true;
            }
            None if is_run => steps.last_mut().expect("output follows a command").shown.push(line),
            None => {}
        }
    }
    steps
}

/// Runs the commands in one shell, in this folder, and returns the output of each.
async fn run(steps: &[Step], base: &str, folder: &Path) -> Vec<String> {
    const END: &str = "-- end of a step --";
    let script: String = steps.iter().map(|step| format!("{}\necho; echo '{END}'\n", step.command)).collect();
    let script = script.replace("http://127.0.0.1:8080", base).replace("curl ", "curl -sS --max-time 30 ");
    let program = binary().parent().unwrap().to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(program).chain(env::split_paths(&path))).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["-euc", &script])
        .current_dir(folder)
        .env("PATH", path)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let bash = bash.output();
    let output = within("the end of the commands", bash).await.expect("bash can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    output.split(END).map(str::to_owned).collect()
}

/// Runs the commands and compares their output with what the page shows.
async fn compare(steps: &[Step], base: &str, folder: &Path) {
    let outputs = run(steps, base, folder).await;
    for (step, output) in steps.iter().zip(outputs) {
        for shown in &step.shown {
            let varies = shown.starts_with("location: ");
            let wanted = if varies { "location: /api/v1/orders/" } else { shown };
            // The page shortens JSON bodies: `…` stands for the omitted parts.
            for part in wanted.split('…').map(str::trim).filter(|part| !part.is_empty()) {
                assert!(
                    output.contains(part),
                    "the output of `{}` does not contain {part}: {output}",
                    step.command
                );
            }
        }
    }
}

#[tokio::test]
async fn the_commands_of_the_walkthrough_have_the_output_that_it_shows() {
    let host = TestHost::orders(&[]).await;
    let steps = steps(WALKTHROUGH);
    assert!(steps.len() > 20);
    compare(&steps, &format!("http://{}", host.address), Path::new(".")).await;
}

#[tokio::test]
async fn the_commands_that_practise_a_restore_work_while_the_service_writes() {
    let folder = tempfile::tempdir().unwrap();
    let store = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let host = TestHost::start(&orders(), &["--store", &store("orders.db")]).await;
    let mut client = host.connect().await;
    for _ in 0..30 {
        assert_eq!(client.create().await.unwrap().status(), 201);
    }
    let created = list_all(&mut client).await;
    let writing = tokio::spawn(async move { while client.create().await.is_ok() {} });

    let practice = BACKUP.split_once("## Practise a restore\n").unwrap().1.split("\n## ").next().unwrap();
    let steps = steps(practice);
    assert!(steps.len() >= 5);
    compare(&steps, &format!("http://{}", host.address), folder.path()).await;
    assert!(!writing.is_finished(), "the service no longer answers");
    writing.abort();

    let restored = TestHost::start(&orders(), &["--store", &store("practice.db")]).await;
    let listed = list_all(&mut restored.connect().await).await;
    for (path, order) in &created {
        assert_eq!(listed.get(path), Some(order));
    }
}
