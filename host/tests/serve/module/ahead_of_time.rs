//! Components that were compiled ahead of time: which are loaded, and which are rejected.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{process::Command, sync::OnceCell};

use crate::harness::{CommandOutput, TestHost, binary, orders, run, within};

/// The end of a compiled component's header.
const HEADER_END: &[u8] = b"\n\n";

/// A folder with a compiled component.
pub struct Compiled {
    pub folder: TempDir,
    pub path: String,
    /// The standard output of `orders-host compile`.
    pub stdout: String,
}

impl Compiled {
    /// The orders component, compiled for this machine. It is compiled once for all tests, because it takes a while.
    pub async fn orders() -> Self {
        static COMPILED: OnceCell<Vec<u8>> = OnceCell::const_new();
        let bytes = COMPILED.get_or_init(async || Self::with_options(&[]).await.bytes()).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.cwasm").display().to_string();
        fs::write(&path, bytes).unwrap();
        Self { folder, path, stdout: String::new() }
    }

    pub async fn with_options(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.cwasm").display().to_string();
        let ran = compile(&orders(), &path, options).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        Self { folder, path, stdout: ran.stdout }
    }

    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    /// Writes another file to the same folder, and returns its path.
    pub fn with(&self, bytes: &[u8]) -> String {
        let path = self.folder.path().join("other.cwasm");
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    pub fn header_and_code(&self) -> (String, Vec<u8>) {
        let mut header = self.bytes();
        let end = header.windows(2).position(|two| two == HEADER_END).unwrap();
        let code = header.split_off(end + HEADER_END.len());
        (String::from_utf8(header).unwrap(), code)
    }

    /// A file with another header line and this code, and with the checksum that matches them.
    pub fn with_valid_checksum(&self, line: &str, replacement: &str, code: &[u8]) -> String {
        let (header, _) = self.header_and_code();
        assert_eq!(header.matches(line).count(), 1, "{line} in {header}");
        let header = header.replace(line, replacement);
        let checksummed = header.split_once("sha256 ").unwrap().0;
        let sum = Sha256::new().chain_update(checksummed).chain_update(code).finalize();
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        self.with(&[format!("{checksummed}sha256 {sum}\n\n").as_bytes(), code].concat())
    }
}

pub async fn compile(component: &Path, output: &str, options: &[&str]) -> CommandOutput {
    let mut arguments = vec!["compile", component.to_str().unwrap(), "--output", output];
    arguments.extend(options);
    run(arguments).await
}

/// Checks that both commands reject a trusted file, with one line and before anything is bound.
pub async fn check_rejected(path: &str, expected: &[&str]) {
    check_rejected_with(path, &["--trust-compiled"], expected).await;
}

async fn check_rejected_with(path: &str, options: &[&str], expected: &[&str]) {
    let serve = ["serve", "--component", path, "--store", "memory:", "--listen", "127.0.0.1:0"];
    for command in [&serve[..], &["inspect", path]] {
        let ran = run(command.iter().chain(options)).await;
        assert_eq!(ran.code, Some(2), "{command:?}: {}", ran.stderr);
        assert!(!ran.stdout.contains("serving"), "{command:?}: {}", ran.stdout);
        assert_eq!(ran.stderr.lines().count(), 1, "{command:?}: {}", ran.stderr);
        for part in expected.iter().chain(&[path]) {
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
async fn a_compiled_component_is_served_as_the_same_module() {
    let compiled = Compiled::with_options(&[]).await;
    let component = hash_when_served(&orders(), &[]).await;
    assert_eq!(hash_when_served(Path::new(&compiled.path), &["--trust-compiled"]).await, component);
    let size = compiled.bytes().len();
    for part in [&compiled.path, component.as_str().unwrap(), &format!("{size} bytes"), "this machine's"] {
        assert!(compiled.stdout.contains(part), "no {part} in {}", compiled.stdout);
    }
    assert_eq!(compiled.stdout.lines().count(), 1);
    assert_eq!(names(compiled.folder.path()), BTreeSet::from(["orders.cwasm".to_owned()]));
}

#[tokio::test]
async fn inspect_shows_the_component_that_was_compiled() {
    let compiled = Compiled::orders().await;
    let inspect = async |arguments: &[&str]| {
        let ran = run([&["inspect"], arguments].concat()).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout.split_once('\n').unwrap().1.to_owned()
    };
    let component = orders();
    assert_eq!(
        inspect(&[&compiled.path, "--trust-compiled"]).await,
        inspect(&[component.to_str().unwrap()]).await,
        "the output differs in more than the name of the file"
    );
}

/// The serving process has no compiler threads, whether the component was compiled or not.
#[tokio::test]
async fn the_serving_process_starts_no_compiler() {
    let compiled = Compiled::orders().await;
    let host = TestHost::start(Path::new(&compiled.path), &["--trust-compiled"]).await;
    let compiling = TestHost::orders(&[]).await;
    for host in [&host, &compiling] {
        // Compiler threads have the name of the process; every other thread sets its own name when it begins.
        let unnamed = || host.threads().iter().filter(|name| *name == "orders-host").count();
        within("all threads but the first to set their names", async {
            while unnamed() != 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_compiled_component_is_not_loaded_unless_it_is_trusted() {
    let compiled = Compiled::orders().await;
    check_rejected_with(&compiled.path, &[], &["native code", "outside the sandbox", "--trust-compiled"])
        .await;
}

/// `--trust-compiled` changes nothing for a component that is not compiled.
#[tokio::test]
async fn a_component_is_accepted_with_trust_compiled_too() {
    let ran = run(["inspect".as_ref(), orders().as_os_str(), "--trust-compiled".as_ref()]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[tokio::test]
async fn code_of_another_host_is_rejected() {
    let compiled = Compiled::orders().await;
    let (header, code) = compiled.header_and_code();
    let line = |name: &str| header.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let (host, wasmtime, target) = (line("host "), line("wasmtime "), line("target "));
    for (line, replacement, expected) in [
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
            &["another engine configuration", "`epoch_interruption: false`, not `epoch_interruption: true`"],
        ),
    ] {
        let path = compiled.with_valid_checksum(line, replacement, &code);
        check_rejected(&path, &[expected, &["orders-host compile"]].concat()).await;
    }
    // An unchanged file under another name is accepted.
    let path = compiled.with_valid_checksum("format 1", "format 1", &code);
    let ran = run(["inspect", "--trust-compiled", &path]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[tokio::test]
async fn a_truncated_or_changed_file_is_rejected() {
    let compiled = Compiled::orders().await;
    let whole = compiled.bytes();
    let (header, code) = compiled.header_and_code();
    let longer = [&whole[..], b"x"].concat();
    for (file, expected) in [
        (&whole[..whole.len() - 1], "bytes of code instead of"),
        (&longer, "bytes of code instead of"),
        (header.as_bytes(), "it has 0 bytes of code"),
        (&whole[..header.len() / 2], "copy it again"),
        (&whole[..header.len() - 1], "copy it again"),
        (b"orders-host compiled component\n", "its line `format` is missing"),
    ] {
        check_rejected(&compiled.with(file), &[expected, "copy it again"]).await;
    }
    // Flip one bit: in the component's hash, in its size, and at the beginning, in the middle and at the end of the code.
    let hash = header.find("\ncomponent ").unwrap() + 12;
    let size = header.find("\ncode ").unwrap() - 1;
    for at in [hash, size, header.len(), header.len() + code.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        check_rejected(&compiled.with(&changed), &["changed after it was written", "copy it again"]).await;
    }
}

/// The output of wasmtime's own tools does not show its origin.
#[tokio::test]
async fn code_without_a_header_is_rejected() {
    let compiled = Compiled::orders().await;
    let (_, code) = compiled.header_and_code();
    assert!(code.starts_with(b"\x7fELF"));
    for options in [&[][..], &["--trust-compiled"]] {
        let expected = ["native code of unknown origin", "orders-host compile"];
        check_rejected_with(&compiled.with(&code), options, &expected).await;
    }
}

/// The code claims a processor feature that this machine, or every machine, lacks.
#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn code_for_another_processor_is_rejected() {
    let compiled = Compiled::orders().await;
    let (_, mut code) = compiled.header_and_code();
    // Wasmtime records a feature as its name, and whether the code may use it.
    let position = |code: &[u8], feature: &str, used: u8| {
        let record = [feature.as_bytes(), &[2, used]].concat();
        code.windows(record.len()).position(|window| window == record)
    };
    let lacking = ["has_avx_vnni", "has_avx512vbmi", "has_avx2"]
        .iter()
        .find_map(|name| Some(position(&code, name, 0)? + name.len() + 1));
    match lacking {
        Some(at) => code[at] = 1,
        None => {
            let at = position(&code, "has_avx2", 1).unwrap();
            code[at..at + 8].copy_from_slice(b"has_none");
        }
    }
    let path = compiled.with_valid_checksum("format 1", "format 1", &code);
    check_rejected(&path, &["a processor with features that this one lacks", "has_", "--target"]).await;
}

#[tokio::test]
async fn an_instance_that_needs_too_much_memory_is_rejected() {
    let compiled = Compiled::orders().await;
    check_rejected_with(
        &compiled.path,
        &["--trust-compiled", "--max-memory", "64KiB"],
        &["cannot be loaded", "minimum"],
    )
    .await;
}

#[tokio::test]
async fn trust_can_be_set_by_a_variable() {
    let compiled = Compiled::orders().await;
    for (value, code) in [("true", 0), ("false", 2), ("perhaps", 2)] {
        let mut command = Command::new(binary());
        command.env_clear().env("ORDERS_TRUST_COMPILED", value).args(["inspect", &compiled.path]);
        let output = within("a command to end", command.output()).await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{value}: {output:?}");
    }
}

/// By default wasmtime reads this variable, and stores more of a component in its code.
#[tokio::test]
async fn the_environment_variable_of_wasmtime_is_ignored() {
    let compiled = Compiled::orders().await;
    let mut command = Command::new(binary());
    command.env_clear().env("WASMTIME_BACKTRACE_DETAILS", "1");
    command.args(["inspect", &compiled.path, "--trust-compiled"]);
    let output = within("a command to end", command.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
