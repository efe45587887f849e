//! `cargo xtask sbom`: what the program and the component are made of, as CycloneDX.

use std::{fs, path::Path, process::Command};

use xtask::{
    command::{Failed, cargo, failed, output, run},
    components, target, workspace,
};

/// The version of cargo-cyclonedx that is installed where none is, or another.
const CARGO_CYCLONEDX: &str = "0.5.9";
/// What the image's program is compiled for.
const HOST: &str = "x86_64-unknown-linux-musl";
/// The name that a list has until it is where it belongs, without `.json`.
const LIST: &str = "bill-of-materials";

/// Writes `target/dist/orders-host.cdx.json` and `target/dist/orders-guest.cdx.json`.
///
/// # Errors
///
/// [`Failed`] if a list cannot be made.
pub(crate) fn write() -> Result<(), Failed> {
    let root = target().join("tools");
    let cyclonedx = root.join("bin/cargo-cyclonedx");
    let installed = output(Command::new(&cyclonedx).args(["cyclonedx", "--version"]));
    if installed.as_deref() != Some(&format!("cargo-cyclonedx-cyclonedx {CARGO_CYCLONEDX}")) {
        let version = ["--version", CARGO_CYCLONEDX, "--locked", "--debug", "--force"];
        run(cargo(["install", "cargo-cyclonedx"]).args(version).arg("--root").arg(&root))?;
    }
    let dist = target().join("dist");
    fs::create_dir_all(&dist).map_err(|error| failed(&dist, &error))?;
    for (crate_folder, name, compiled_for) in
        [("host", "orders-host", HOST), ("guest", "orders-guest", components::TARGET)]
    {
        run(Command::new(&cyclonedx)
            .current_dir(workspace())
            .args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--no-build-deps"])
            .args(["--target", compiled_for, "--override-filename", LIST])
            // Times are those of the commit.
            .env("SOURCE_DATE_EPOCH", git(&["log", "-1", "--format=%ct"])?))?;
        let list = dist.join(format!("{name}.cdx.json"));
        // It leaves a list beside the manifest of every crate.
        for manifest in git(&["ls-files", "*Cargo.toml"])?.lines() {
            let left = workspace().join(manifest).with_file_name(LIST).with_extension("json");
            if Path::new(manifest).parent() == Some(Path::new(crate_folder)) {
                fs::copy(&left, &list).map_err(|error| failed(&list, &error))?;
            }
            let _ = fs::remove_file(&left);
        }
        println!("{}", list.display());
    }
    Ok(())
}

fn git(arguments: &[&str]) -> Result<String, Failed> {
    output(Command::new("git").current_dir(workspace()).args(arguments))
        .ok_or_else(|| Failed(format!("`git {}` failed", arguments.join(" "))))
}
