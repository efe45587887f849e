//! Copies the WASI interface files out of the crate that ships them. They are third-party text, so this repository does not
//! vendor them; Cargo.lock pins their version through that crate.

use std::{env, error::Error, fs, path::Path};

use cargo_metadata::MetadataCommand;

/// The crate whose `wit/deps` folder contains the WASI 0.2 packages.
const WASI_CRATE: &str = "wasip2";

fn main() -> Result<(), Box<dyn Error>> {
    let host = env::var_os("HOST").ok_or("HOST is not set: cargo sets it for build scripts")?;
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: cargo sets it for build scripts")?;
    let metadata = MetadataCommand::new()
        .other_options([
            "--locked".to_owned(),
            "--filter-platform".to_owned(),
            host.to_string_lossy().into_owned(),
        ])
        .exec()?;
    let wasi_crate = metadata
        .packages
        .iter()
        .find(|package| package.name == WASI_CRATE)
        .and_then(|package| package.manifest_path.parent())
        .ok_or("the crate with the WASI interface files is missing from the build dependencies")?;
    let mut listing = String::from("&[\n");
    for file in fs::read_dir(wasi_crate.join("wit/deps"))? {
        let file = file?;
        let name = file.file_name();
        fs::copy(file.path(), Path::new(&out).join(&name))?;
        listing.push_str(&format!("    ({name:?}, include_str!({name:?})),\n"));
    }
    let http = fs::read_to_string(wasi_crate.join("wit/deps/http.wit"))?;
    let version = http.lines().find_map(|line| line.strip_prefix("package wasi:http@")?.strip_suffix(';'));
    println!("cargo::rustc-env=WASI_VERSION={}", version.ok_or("the package wasi:http has no version")?);
    listing.push_str("]\n");
    fs::write(Path::new(&out).join("wasi.rs"), listing)?;
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    Ok(())
}
