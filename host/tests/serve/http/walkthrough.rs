//! Runs the commands of `docs/life-of-an-order.md` and compares their output with the page.

use std::process::Stdio;

use tokio::process::Command;

use crate::harness::{TestHost, within};

const PAGE: &str = include_str!("../../../../docs/life-of-an-order.md");

/// A command of the page, and the output that the page shows for it: the status line, and header fields in lower case.
struct Step {
    command: &'static str,
    shown: Vec<&'static str>,
}

fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in PAGE.lines() {
        let Some(line) = line.strip_prefix("    ") else { continue };
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step { command, shown: Vec::new() }),
            None => steps.last_mut().expect("output follows a command").shown.push(line),
        }
    }
    steps
}

/// Runs the commands in one shell, and returns the output of each.
async fn run(steps: &[Step], base: &str) -> Vec<String> {
    const END: &str = "-- end of a step --";
    let script: String = steps.iter().map(|step| format!("{}\necho; echo '{END}'\n", step.command)).collect();
    let script = script.replace("http://127.0.0.1:8080", base).replace("curl ", "curl -sS --max-time 30 ");
    let bash = Command::new("bash").args(["-euc", &script]).stdin(Stdio::null()).output();
    let output = within("the end of the commands", bash).await.expect("bash can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    output.split(END).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_commands_of_the_walkthrough_have_the_output_that_it_shows() {
    let host = TestHost::orders(&[]).await;
    let steps = steps();
    assert!(steps.len() > 20);
    let outputs = run(&steps, &format!("http://{}", host.address)).await;
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
