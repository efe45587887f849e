//! `orders-host compile`: its targets, what it rejects, and how it writes the file.

use std::{collections::BTreeSet, fs, path::Path};

use tokio::process::Command;

use crate::{
    harness::{binary, fixture, orders, run, within},
    module::ahead_of_time::{Compiled, check_rejected, compile, hash_when_served, names},
};

/// Any processor of this architecture, also with another C library.
#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn a_target_triple_compiles_for_any_processor_of_the_architecture() {
    for target in ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"] {
        let compiled = Compiled::with_options(&["--target", target]).await;
        let (header, code) = compiled.header_and_code();
        assert!(header.contains(&format!("\ntarget {target}\n")), "{header}");
        assert!(compiled.stdout.contains(&format!("for {target} and any processor")), "{}", compiled.stdout);
        let avx2 = |used| code.windows(10).any(|window| window == [b"has_avx2", &[2, used][..]].concat());
        assert!(avx2(0) && !avx2(1));
        hash_when_served(Path::new(&compiled.path), &["--trust-compiled"]).await;
    }
}

#[tokio::test]
async fn a_component_can_be_compiled_for_the_other_architecture() {
    let foreign = if cfg!(target_arch = "x86_64") { "aarch64" } else { "x86_64" };
    let target = format!("{foreign}-unknown-linux-gnu");
    let compiled = Compiled::with_options(&["--target", &target]).await;
    let (_, code) = compiled.header_and_code();
    // The machine field of an ELF file: 183 is AArch64, 62 is x86-64.
    assert_eq!(code[18..20], if foreign == "aarch64" { [183, 0] } else { [62, 0] });
    check_rejected(&compiled.path, &[&format!("compiled for {target}"), "orders-host compile"]).await;
}

#[tokio::test]
async fn an_unsupported_target_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("orders.cwasm").display().to_string();
    for target in
        ["riscv64gc-unknown-linux-gnu", "x86_64-pc-windows-msvc", "aarch64-apple-darwin", "toaster", ""]
    {
        let ran = compile(&orders(), &output, &["--target", target]).await;
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
        for part in [target, "orders.wasm", "Linux on x86_64 and aarch64"] {
            assert!(ran.stderr.contains(part), "no {part} in {}", ran.stderr);
        }
    }
    let odd = "x86_64-unknown-linux-nonsense";
    let ran = compile(&orders(), &output, &["--target", odd]).await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains(odd), "{}", ran.stderr);
    assert_eq!(names(folder.path()), BTreeSet::new());
}

/// A component that `serve` would reject is not compiled, neither for this architecture nor for the other.
#[tokio::test]
async fn a_component_that_cannot_be_served_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("core.wasm"), b"\0asm\x01\x00\x00\x00").unwrap();
    fs::write(at("truncated.wasm"), &fs::read(orders()).unwrap()[..5000]).unwrap();
    fs::write(at("old.cwasm"), "as it was").unwrap();
    let before = names(folder.path());
    let output = at("old.cwasm").display().to_string();
    let foreign = if cfg!(target_arch = "x86_64") { "aarch64" } else { "x86_64" };
    let foreign = format!("{foreign}-unknown-linux-gnu");
    for (component, code, says) in [
        (at("missing.wasm"), 2, "No such file"),
        (folder.path().to_owned(), 2, "not a regular file"),
        (at("core.wasm"), 2, "a core module"),
        (at("truncated.wasm"), 2, "does not compile"),
        (at("old.cwasm"), 2, "not WebAssembly"),
        (fixture("imports_mail"), 1, "acme:mail/send@1.0.0"),
        (fixture("traps_at_start"), 1, "it does not start"),
    ] {
        for options in [&[][..], &["--target", &foreign]] {
            let ran = compile(&component, &output, options).await;
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{}", ran.stderr);
            assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
            for part in [component.to_str().unwrap(), says] {
                assert!(ran.stderr.contains(part), "no {part} in {}", ran.stderr);
            }
        }
    }
    assert_eq!(fs::read_to_string(at("old.cwasm")).unwrap(), "as it was");
    assert_eq!(names(folder.path()), before);
}

#[tokio::test]
async fn a_compiled_file_is_not_compiled_again() {
    let compiled = Compiled::orders().await;
    let ran = compile(Path::new(&compiled.path), &compiled.path, &[]).await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("already compiled"), "{}", ran.stderr);
}

/// Through pipes and untried, as `serve` runs it: `serve` tries the component itself.
#[tokio::test]
async fn standard_input_is_compiled_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    for (component, tried) in [("answers", 0), ("traps_at_start", 1)] {
        for (option, code) in [(None, tried), (Some("--untried"), 0)] {
            let mut command = Command::new(binary());
            command.env_clear().args(["compile", "-", "--output", "-"]).args(option);
            command.stdin(fs::File::open(fixture(component)).unwrap());
            let output = within("a command to end", command.output()).await.unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{component} {option:?}: {stderr}");
            assert_eq!(output.stdout.is_empty(), code != 0, "{component} {option:?}");
            if code == 0 {
                let path = folder.path().join(component);
                fs::write(&path, output.stdout).unwrap();
                let path = path.display().to_string();
                let ran = run(["inspect", &path, "--trust-compiled"]).await;
                assert_eq!(ran.code, Some(tried), "{}{}", ran.stdout, ran.stderr);
            }
        }
    }
}

/// A process that has the old file open still reads the old file; the new file is complete as soon as it is visible.
#[tokio::test]
async fn an_existing_output_is_replaced_in_one_step() {
    use std::{io::Read, os::unix::fs::MetadataExt};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.cwasm");
    fs::write(&path, "as it was").unwrap();
    let mut opened = fs::File::open(&path).unwrap();
    let ran = compile(&orders(), path.to_str().unwrap(), &[]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let mut old = String::new();
    opened.read_to_string(&mut old).unwrap();
    assert_eq!(old, "as it was");
    assert_ne!(opened.metadata().unwrap().ino(), fs::metadata(&path).unwrap().ino());
    assert_eq!(names(folder.path()), BTreeSet::from(["orders.cwasm".to_owned()]));
    hash_when_served(&path, &["--trust-compiled"]).await;
}

#[tokio::test]
async fn an_output_that_cannot_be_written_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let component = at("copy.wasm");
    fs::copy(orders(), &component).unwrap();
    let before = names(folder.path());
    for (output, says) in [
        (at("no/such/orders.cwasm"), "No such file"),
        (at("folder"), "not a regular file"),
        ("/dev/null".to_owned(), "not a regular file"),
        ("/proc/orders.cwasm".to_owned(), "/proc/orders.cwasm"),
        (component.clone(), "the component itself"),
    ] {
        let ran = compile(Path::new(&component), &output, &[]).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        for part in [output.as_str(), says] {
            assert!(ran.stderr.contains(part), "no {part} in {}", ran.stderr);
        }
    }
    assert_eq!(names(folder.path()), before);
    assert_eq!(fs::read(&component).unwrap(), fs::read(orders()).unwrap());
}

/// A file size limit stands in for a full disk.
#[tokio::test]
async fn a_full_disk_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.cwasm");
    fs::write(&path, "as it was").unwrap();
    // The shell ignores the signal that would otherwise end the process beyond the limit.
    let script = r#"trap '' XFSZ; exec prlimit --fsize=100000 "$0" compile "$1" --output "$2""#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(binary()).arg(orders()).arg(&path);
    let output = within("a command to end", command.output()).await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("too large") && stderr.contains("cannot write"), "{stderr}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "as it was");
    assert_eq!(names(folder.path()), BTreeSet::from(["orders.cwasm".to_owned()]));
}
