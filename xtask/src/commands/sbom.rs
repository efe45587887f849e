//! `cargo xtask sbom`: writes the bills of materials of the program and the component, in CycloneDX format.

use std::{fs, path::Path, process::Command};

use xtask::{
    command::{TaskError, capture, file_error, run},
    components, target, tools, workspace,
};

/// The pinned version of cargo-cyclonedx.
const CARGO_CYCLONEDX: &str = "0.5.9";
/// The target of the program in the image.
const HOST_TARGET: &str = "x86_64-unknown-linux-musl";

/// Writes `target/dist/orders-host.cdx.json` and `target/dist/orders-guest.cdx.json`.
pub(crate) fn write() -> Result<(), TaskError> {
    let cyclonedx = tools::cargo_tool("cargo-cyclonedx", CARGO_CYCLONEDX, &["cyclonedx", "--version"])?;
    let dist = target().join("dist");
    fs::create_dir_all(&dist).map_err(|error| file_error(&dist, &error))?;
    for (name, folder, target) in
        [("orders-host", "host", HOST_TARGET), ("orders-guest", "guest", components::TARGET)]
    {
        run(Command::new(&cyclonedx)
            .current_dir(workspace())
            .args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--no-build-deps"])
            .args(["--target", target, "--override-filename", "bill-of-materials"])
            // The time stamp in the file is that of the commit.
            .env("SOURCE_DATE_EPOCH", git(&["log", "-1", "--format=%ct"])?))?;
        let bill = dist.join(format!("{name}.cdx.json"));
        // cargo-cyclonedx writes a file beside the manifest of every crate.
        for manifest in git(&["ls-files", "*Cargo.toml"])?.lines() {
            let written = workspace().join(manifest).with_file_name("bill-of-materials.json");
            if Path::new(manifest).parent() == Some(Path::new(folder)) {
                fs::copy(&written, &bill).map_err(|error| file_error(&bill, &error))?;
            }
            let _ = fs::remove_file(&written);
        }
        println!("{}", bill.display());
    }
    Ok(())
}

fn git(arguments: &[&str]) -> Result<String, TaskError> {
    capture(Command::new("git").current_dir(workspace()).args(arguments))
}
