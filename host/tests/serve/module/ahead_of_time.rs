//! Components that were compiled ahead of time: what is loaded, and what is refused.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{process::Command, sync::OnceCell};

use crate::harness::{CommandOutput, TestHost, binary, orders, run, within};

/// What separates the lines of a compiled component from its code.
const END_OF_LINES: &[u8] = b"\n\n";

/// A folder with a compiled component in it.
pub struct Compiled {
    pub folder: TempDir,
    pub path: String,
    /// What the command said.
    pub said: String,
}

impl Compiled {
    /// The orders component, compiled for this machine: once for all tests, for it takes a while.
    pub async fn orders() -> Self {
        static COMPILED: OnceCell<Vec<u8>> = OnceCell::const_new();
        let bytes = COMPILED.get_or_init(async || Self::with_options(&[]).await.bytes()).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.cwasm").display().to_string();
        fs::write(&path, bytes).unwrap();
        Self { folder, path, said: String::new() }
    }

    pub async fn with_options(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.cwasm").display().to_string();
        let ran = compile(&orders(), &path, options).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        Self { folder, path, said: ran.stdout }
    }

    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    /// Another file in the same folder.
    pub fn with(&self, bytes: &[u8]) -> String {
        let path = self.folder.path().join("other.cwasm");
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    pub fn lines_and_code(&self) -> (String, Vec<u8>) {
        let mut lines = self.bytes();
        let end = lines.windows(2).position(|two| two == END_OF_LINES).unwrap();
        let code = lines.split_off(end + END_OF_LINES.len());
        (String::from_utf8(lines).unwrap(), code)
    }

    /// A file whose sum is right, as if it had been written with this line in it and this code.
    pub fn as_if_written(&self, line: &str, becomes: &str, code: &[u8]) -> String {
        let (lines, _) = self.lines_and_code();
        assert_eq!(lines.matches(line).count(), 1, "{line} in {lines}");
        let lines = lines.replace(line, becomes);
        let summed = lines.split_once("sha256 ").unwrap().0;
        let sum = Sha256::new().chain_update(summed).chain_update(code).finalize();
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        self.with(&[format!("{summed}sha256 {sum}\n\n").as_bytes(), code].concat())
    }
}

pub async fn compile(component: &Path, output: &str, options: &[&str]) -> CommandOutput {
    let mut arguments = vec!["compile", component.to_str().unwrap(), "--output", output];
    arguments.extend(options);
    run(arguments).await
}

/// A trusted file is refused by both commands, with one line and before anything is bound.
pub async fn check_refused(path: &str, says: &[&str]) {
    check_refused_with(path, &["--trust-compiled"], says).await;
}

async fn check_refused_with(path: &str, options: &[&str], says: &[&str]) {
    let serve = ["serve", "--component", path, "--store", "memory:", "--listen", "127.0.0.1:0"];
    for command in [&serve[..], &["inspect", path]] {
        let ran = run(command.iter().chain(options)).await;
        assert_eq!(ran.code, Some(2), "{command:?}: {}", ran.stderr);
        assert!(!ran.stdout.contains("serving"), "{command:?}: {}", ran.stdout);
        assert_eq!(ran.stderr.lines().count(), 1, "{command:?}: {}", ran.stderr);
        for part in says.iter().chain(&[path]) {
            assert!(ran.stderr.contains(part), "{command:?}: no {part:?} in {}", ran.stderr);
        }
    }
}

pub fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

pub async fn hash_when_served(component: &Path, options: &[&str]) -> Value {
    let host = TestHost::start(component, options).await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    let serving = host.log().wait_for("the host to serve", |line| line["message"] == "serving").await;
    serving["module"].clone()
}

#[tokio::test]
async fn it_is_served_as_the_same_module() {
    let compiled = Compiled::with_options(&[]).await;
    let component = hash_when_served(&orders(), &[]).await;
    assert_eq!(hash_when_served(Path::new(&compiled.path), &["--trust-compiled"]).await, component);
    let size = compiled.bytes().len();
    for part in [&compiled.path, component.as_str().unwrap(), &format!("{size} bytes"), "this machine's"] {
        assert!(compiled.said.contains(part), "no {part} in {}", compiled.said);
    }
    assert_eq!(compiled.said.lines().count(), 1);
    assert_eq!(names(compiled.folder.path()), BTreeSet::from(["orders.cwasm".to_owned()]));
}

#[tokio::test]
async fn inspect_shows_the_component_it_was_compiled_from() {
    let compiled = Compiled::orders().await;
    let of = async |arguments: &[&str]| {
        let ran = run([&["inspect"], arguments].concat()).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout.split_once('\n').unwrap().1.to_owned()
    };
    let component = orders();
    assert_eq!(
        of(&[&compiled.path, "--trust-compiled"]).await,
        of(&[component.to_str().unwrap()]).await,
        "all but the name of the file"
    );
}

/// What serves has no compiler, nor the threads of one, whichever form the component comes in.
#[tokio::test]
async fn no_compiler_is_started_in_the_process_that_serves() {
    let compiled = Compiled::orders().await;
    let host = TestHost::start(Path::new(&compiled.path), &["--trust-compiled"]).await;
    let compiling = TestHost::orders(&[]).await;
    for host in [&host, &compiling] {
        // The threads of a compiler have the name of the process; all others give themselves one as they begin.
        let unnamed = || host.threads().iter().filter(|name| *name == "orders-host").count();
        within("all threads but the first to have names of their own", async {
            while unnamed() != 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn it_is_not_loaded_unless_it_is_trusted() {
    let compiled = Compiled::orders().await;
    check_refused_with(&compiled.path, &[], &["native code", "outside of the sandbox", "--trust-compiled"])
        .await;
}

/// Trust is given to a component as it is: nothing changes for one that is not compiled.
#[tokio::test]
async fn a_component_may_be_trusted_too() {
    let ran = run(["inspect".as_ref(), orders().as_os_str(), "--trust-compiled".as_ref()]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[tokio::test]
async fn what_another_host_compiled_is_refused() {
    let compiled = Compiled::orders().await;
    let (lines, code) = compiled.lines_and_code();
    let line = |name: &str| lines.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let (host, wasmtime, target) = (line("host "), line("wasmtime "), line("target "));
    for (line, becomes, says) in [
        ("format 1", "format 2", &["its format is 2", "format 1 only"][..]),
        (
            &host,
            "host 0.0.9",
            &["compiled by orders-host 0.0.9", &host.replace("host ", "this is orders-host ")],
        ),
        (&wasmtime, "wasmtime 48.0.0", &["compiled by wasmtime 48.0.0", &format!("this is {wasmtime}")]),
        (&target, "target riscv64gc-unknown-linux-gnu", &["for riscv64gc-unknown-linux-gnu", "this is "]),
        (
            "epoch_interruption: true",
            "epoch_interruption: false",
            &["another configuration", "`epoch_interruption: false`, not `epoch_interruption: true`"],
        ),
    ] {
        let path = compiled.as_if_written(line, becomes, &code);
        check_refused(&path, &[says, &["orders-host compile"]].concat()).await;
    }
    // As it was, but for its name: this is no fault.
    let path = compiled.as_if_written("format 1", "format 1", &code);
    let ran = run(["inspect", "--trust-compiled", &path]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[tokio::test]
async fn what_is_not_whole_or_not_as_it_was_written_is_refused() {
    let compiled = Compiled::orders().await;
    let whole = compiled.bytes();
    let (lines, code) = compiled.lines_and_code();
    let longer = [&whole[..], b"x"].concat();
    for (file, says) in [
        (&whole[..whole.len() - 1], "bytes of code, and should have"),
        (&longer, "bytes of code, and should have"),
        (lines.as_bytes(), "it has 0 bytes of code"),
        (&whole[..lines.len() / 2], "copy it again"),
        (&whole[..lines.len() - 1], "copy it again"),
        (b"orders-host compiled component\n", "its line `format` is missing"),
    ] {
        check_refused(&compiled.with(file), &[says, "copy it again"]).await;
    }
    // One bit: of the component's hash, of its size, at the beginning, in the midst and at the end of the code.
    let hash = lines.find("\ncomponent ").unwrap() + 12;
    let size = lines.find("\ncode ").unwrap() - 1;
    for at in [hash, size, lines.len(), lines.len() + code.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        check_refused(&compiled.with(&changed), &["not as it was written", "copy it again"]).await;
    }
}

/// What wasmtime's own tools write has no word of where it comes from.
#[tokio::test]
async fn code_without_our_lines_is_refused() {
    let compiled = Compiled::orders().await;
    let (_, code) = compiled.lines_and_code();
    assert!(code.starts_with(b"\x7fELF"));
    for options in [&[][..], &["--trust-compiled"]] {
        let says = ["native code of unknown origin", "orders-host compile"];
        check_refused_with(&compiled.with(&code), options, &says).await;
    }
}

/// Code whose own record claims what this machine does not have, or what nothing has.
#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn code_for_another_processor_is_refused() {
    let compiled = Compiled::orders().await;
    let (_, mut code) = compiled.lines_and_code();
    // How wasmtime's record has a feature: its name, and whether the code may use it.
    let place = |code: &[u8], feature: &str, used: u8| {
        let record = [feature.as_bytes(), &[2, used]].concat();
        code.windows(record.len()).position(|window| window == record)
    };
    let lacking = ["has_avx_vnni", "has_avx512vbmi", "has_avx2"]
        .iter()
        .find_map(|name| Some(place(&code, name, 0)? + name.len() + 1));
    match lacking {
        Some(at) => code[at] = 1,
        None => {
            let at = place(&code, "has_avx2", 1).unwrap();
            code[at..at + 8].copy_from_slice(b"has_none");
        }
    }
    let path = compiled.as_if_written("format 1", "format 1", &code);
    check_refused(&path, &["a processor that can do more than this one", "has_", "--target"]).await;
}

#[tokio::test]
async fn an_instance_that_needs_too_much_memory_is_refused() {
    let compiled = Compiled::orders().await;
    check_refused_with(
        &compiled.path,
        &["--trust-compiled", "--max-memory", "64KiB"],
        &["cannot be loaded", "minimum"],
    )
    .await;
}

#[tokio::test]
async fn trust_can_be_a_variable() {
    let compiled = Compiled::orders().await;
    for (value, code) in [("true", 0), ("false", 2), ("perhaps", 2)] {
        let mut command = Command::new(binary());
        command.env_clear().env("ORDERS_TRUST_COMPILED", value).args(["inspect", &compiled.path]);
        let output = within("a command to end", command.output()).await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{value}: {output:?}");
    }
}

/// Wasmtime would read this one by itself, and keep more of a component in its code.
#[tokio::test]
async fn a_variable_of_wasmtime_changes_nothing() {
    let compiled = Compiled::orders().await;
    let mut command = Command::new(binary());
    command.env_clear().env("WASMTIME_BACKTRACE_DETAILS", "1");
    command.args(["inspect", &compiled.path, "--trust-compiled"]);
    let output = within("a command to end", command.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
