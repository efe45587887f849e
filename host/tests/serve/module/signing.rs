//! `orders-host module keygen`, `sign` and `verify`, and how `serve` and `inspect` treat signatures.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    harness::{CommandOutput, TestHost, binary, orders, run, within},
    module::ahead_of_time::{Compiled, names},
};

/// A folder with a key pair, and the orders component signed with it.
pub struct Signed {
    folder: TempDir,
}

impl Signed {
    pub async fn new() -> Self {
        let signed = Self { folder: tempfile::tempdir().unwrap() };
        signed.keygen("").await;
        let ran = signed.sign(&orders(), &["--output", &signed.path("orders.wasm")]).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        signed
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Generates `{prefix}secret` and `{prefix}public`, and returns the line of the public key.
    async fn keygen(&self, prefix: &str) -> String {
        let [secret, public] = ["secret", "public"].map(|name| self.path(&format!("{prefix}{name}")));
        let ran = run(["module", "keygen", "--secret", &secret, "--public", &public]).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        let text = fs::read_to_string(&public).unwrap();
        let key = text.lines().find(|line| !line.starts_with('#')).unwrap().to_owned();
        assert_eq!(ran.stdout, format!("wrote {secret} (keep it secret) and {public}: {key}\n"));
        key
    }

    async fn sign(&self, component: &Path, options: &[&str]) -> CommandOutput {
        let key = self.path("secret");
        let arguments = ["module", "sign", component.to_str().unwrap(), "--key", &key];
        run([&arguments[..], options].concat()).await
    }

    async fn verify(&self, component: &str, keys: &str) -> CommandOutput {
        run(["module", "verify", component, "--trusted-keys", keys]).await
    }

    /// Writes another file to the same folder, and returns its path.
    fn with(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn check_rejected(ran: &CommandOutput, code: i32, expected: &[&str]) {
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    for part in expected {
        assert!(ran.stderr.contains(part), "no {part:?} in {}", ran.stderr);
    }
}

/// Checks that neither `serve` nor `inspect` accepts a component, and that both give the reason on one line.
async fn check_not_served(component: &str, options: &[&str], expected: &[&str]) {
    let serve = ["serve", "--component", component, "--store", "memory:", "--listen", "127.0.0.1:0"];
    let serve = [&serve[..], &["--admin-listen", "off"]].concat();
    for command in [&serve[..], &["inspect", component]] {
        check_rejected(&run(command.iter().chain(options)).await, 2, expected);
    }
}

#[tokio::test]
async fn only_its_owner_can_read_the_secret_key() {
    let signed = Signed { folder: tempfile::tempdir().unwrap() };
    signed.keygen("").await;
    let mode = |name: &str| fs::metadata(signed.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("secret"), 0o600);
    assert_ne!(mode("public") & 0o400, 0);
    assert_eq!(names(signed.folder.path()), BTreeSet::from(["public".to_owned(), "secret".to_owned()]));
}

#[tokio::test]
async fn an_existing_key_is_not_overwritten() {
    let signed = Signed { folder: tempfile::tempdir().unwrap() };
    signed.keygen("").await;
    let before = ["secret", "public"].map(|name| fs::read(signed.path(name)).unwrap());
    let at = |name: &str| signed.path(name);
    for (secret, public, expected) in [
        (at("secret"), at("new"), at("secret")),
        (at("new"), at("public"), at("public")),
        (at("new"), at("new"), at("new")),
    ] {
        let ran = run(["module", "keygen", "--secret", &secret, "--public", &public]).await;
        check_rejected(&ran, 1, &[&expected, "already exists", "choose another file"]);
    }
    for path in ["no/such/folder", "/"] {
        let path = signed.folder.path().join(path).display().to_string();
        let ran = run(["module", "keygen", "--secret", &at("new"), "--public", &path]).await;
        check_rejected(&ran, 1, &[&path, "cannot write"]);
    }
    assert_eq!(["secret", "public"].map(|name| fs::read(signed.path(name)).unwrap()), before);
    assert_eq!(names(signed.folder.path()), BTreeSet::from(["public".to_owned(), "secret".to_owned()]));
}

#[tokio::test]
async fn a_signed_component_is_verified() {
    let signed = Signed::new().await;
    let key = signed.keygen("next-").await;
    let (component, keys) = (signed.path("orders.wasm"), signed.path("public"));
    let ran = signed.verify(&component, &keys).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let public = fs::read_to_string(&keys).unwrap();
    let signer = public.lines().last().unwrap();
    assert_eq!(ran.stdout, format!("{component} is signed by {signer}\n"));

    // Another key does not verify it; a file with both keys does, and the variable can name this file.
    let ran = signed.verify(&component, &signed.path("next-public")).await;
    check_rejected(&ran, 1, &[&component, "none of the trusted keys"]);
    fs::write(signed.path("both"), format!("{key}\n{public}")).unwrap();
    let mut command = Command::new(binary());
    command.env_clear().env("ORDERS_TRUSTED_KEYS", signed.path("both"));
    let output = within("a command to end", command.args(["module", "verify", &component]).output()).await;
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains(signer), "{output:?}");
}

/// Each error is one line, and the exit code tells an invalid signature from an invalid file.
#[tokio::test]
async fn an_unsigned_or_changed_component_is_rejected() {
    let signed = Signed::new().await;
    let keys = signed.path("public");
    let whole = fs::read(signed.path("orders.wasm")).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    let mut forged = whole.clone();
    // The last byte of the signature; the component's own sections follow it.
    forged[8 + 118] ^= 1;
    for (bytes, code, expected) in [
        (fs::read(orders()).unwrap(), 1, "it is not signed"),
        (changed, 1, "changed after it was signed"),
        (whole[..whole.len() - 1].to_vec(), 1, "changed after it was signed"),
        (forged, 1, "none of the trusted keys"),
        (whole[..100].to_vec(), 1, "in an unsupported form"),
        (b"#!/bin/sh\n".to_vec(), 2, "not WebAssembly"),
        (Vec::new(), 2, "empty"),
    ] {
        let path = signed.with("other.wasm", &bytes);
        check_rejected(&signed.verify(&path, &keys).await, code, &[&path, expected]);
        check_not_served(&path, &["--trusted-keys", &keys], &[&path, expected]).await;
    }
    check_rejected(&signed.verify("/nowhere.wasm", &keys).await, 2, &["/nowhere.wasm", "No such file"]);
}

#[tokio::test]
async fn a_key_file_that_cannot_be_read_is_rejected() {
    let signed = Signed::new().await;
    let component = signed.path("orders.wasm");
    fs::write(signed.path("empty"), "# no key\n").unwrap();
    fs::write(signed.path("bytes"), b"\xff").unwrap();
    fs::write(signed.path("garbage"), "\n-----BEGIN PUBLIC KEY-----\n").unwrap();
    for (keys, expected) in [
        ("missing", "No such file"),
        (".", "not a regular file"),
        ("empty", "it has no key"),
        ("garbage", "line 2: expected `ed25519` and 64 hexadecimal digits"),
        ("secret", "line 2 is a secret key"),
        ("bytes", "not text"),
        ("orders.wasm", "the maximum of 65536 bytes"),
    ] {
        let keys = signed.path(keys);
        check_rejected(&signed.verify(&component, &keys).await, 2, &["--trusted-keys", &keys, expected]);
        check_not_served(&component, &["--trusted-keys", &keys], &["--trusted-keys", &keys, expected]).await;
    }
    let before = names(signed.folder.path());
    for (key, expected) in [
        ("missing", "No such file"),
        ("empty", "expected one secret key"),
        ("public", "line 2 is a public key"),
        ("garbage", "line 2: expected `ed25519-secret` and 64 hexadecimal digits"),
    ] {
        let key = signed.path(key);
        let ran = run(["module", "sign", &component, "--key", &key]).await;
        check_rejected(&ran, 2, &["secret key", &key, expected]);
    }
    assert_eq!(names(signed.folder.path()), before);
}

#[tokio::test]
async fn an_invalid_component_is_not_signed() {
    let signed = Signed::new().await;
    let compiled = Compiled::orders().await;
    for (component, code, expected) in [
        (signed.path("missing.wasm"), 2, "No such file"),
        (signed.path("secret"), 2, "not WebAssembly"),
        (compiled.path.clone(), 2, "already compiled"),
        (signed.with("core.wasm", b"\0asm\x01\x00\x00\x00"), 2, "a core module"),
        (
            signed.with("other.wasm", b"\0asm\x0d\x00\x01\x00\x00\x0a\x09signature"),
            2,
            "in an unsupported form",
        ),
    ] {
        let before = fs::read(&component).ok();
        check_rejected(&signed.sign(Path::new(&component), &[]).await, code, &[&component, expected]);
        assert_eq!(fs::read(&component).ok(), before);
    }
    for output in [signed.path("no/such/folder.wasm"), signed.path("."), "/dev/null".to_owned()] {
        let ran = signed.sign(&orders(), &["--output", &output]).await;
        check_rejected(&ran, 1, &["cannot write", &output]);
    }
    let files = ["core.wasm", "orders.wasm", "other.wasm", "public", "secret"].map(str::to_owned);
    assert_eq!(names(signed.folder.path()), BTreeSet::from(files));
}

/// Without `--output`, the component is replaced in one step, and signing it again gives the same bytes.
#[tokio::test]
async fn a_component_is_signed_in_place() {
    let signed = Signed::new().await;
    let path = signed.with("other.wasm", &fs::read(orders()).unwrap());
    let inode = || fs::metadata(&path).unwrap().ino();
    for _ in 0..2 {
        let opened = fs::File::open(&path).unwrap();
        let ran = signed.sign(Path::new(&path), &[]).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        assert!(ran.stdout.starts_with(&format!("wrote {path}: signed by ed25519 ")), "{}", ran.stdout);
        assert_ne!(opened.metadata().unwrap().ino(), inode());
        assert_eq!(fs::read(&path).unwrap(), fs::read(signed.path("orders.wasm")).unwrap());
    }
}

/// A signed component is served with and without `--trusted-keys`.
#[tokio::test]
async fn a_signed_component_is_served() {
    let signed = Signed::new().await;
    let (component, keys) = (signed.path("orders.wasm"), signed.path("public"));
    for options in [&["--trusted-keys", keys.as_str()][..], &[]] {
        let host = TestHost::start(Path::new(&component), options).await;
        assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
        let lines = host.log().lines();
        let verified = lines.iter().find(|line| line["event"] == "module.signature_verified");
        assert_eq!(verified.is_some(), !options.is_empty(), "{lines:#?}");
        if let Some(verified) = verified {
            let public = fs::read_to_string(&keys).unwrap();
            assert_eq!(verified["key"].as_str(), public.lines().last());
        }
    }
    let ran = run(["inspect", &component, "--trusted-keys", &keys]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

/// A signature does not cover native code.
#[tokio::test]
async fn native_code_is_rejected_where_a_signature_is_required() {
    let signed = Signed::new().await;
    let compiled = Compiled::orders().await;
    let keys = signed.path("public");
    check_not_served(
        &compiled.path,
        &["--trusted-keys", &keys],
        &[&compiled.path, "cannot carry a signature", "name the signed component"],
    )
    .await;
    for component in [&compiled.path, &signed.path("orders.wasm")] {
        let options = ["--trusted-keys", keys.as_str(), "--trust-compiled"];
        check_not_served(component, &options, &["--trusted-keys", "--trust-compiled", "only one of them"])
            .await;
    }
}
