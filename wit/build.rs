//! Fetches the WASI interface files: they are others' text, pinned by Cargo.lock through the crate that
//! carries them, and not kept in this repository.

use std::{env, error::Error, fs, path::Path};

use cargo_metadata::MetadataCommand;

/// The crate whose `wit/deps` folder holds the packages of WASI 0.2.
const CARRIER: &str = "wasip2";

fn main() -> Result<(), Box<dyn Error>> {
    let host = env::var_os("HOST").ok_or("cargo sets HOST for build scripts")?;
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    let metadata = MetadataCommand::new()
        .other_options([
            "--locked".to_owned(),
            "--filter-platform".to_owned(),
            host.to_string_lossy().into_owned(),
        ])
        .exec()?;
    let carrier = metadata
        .packages
        .iter()
        .find(|package| package.name == CARRIER)
        .and_then(|package| package.manifest_path.parent())
        .ok_or("the crate that carries the WASI interface files is a build dependency")?;
    let mut listing = String::from("&[\n");
    for file in fs::read_dir(carrier.join("wit/deps"))? {
        let file = file?;
        let name = file.file_name();
        fs::copy(file.path(), Path::new(&out).join(&name))?;
        listing.push_str(&format!("    ({name:?}, include_str!({name:?})),\n"));
    }
    let http = fs::read_to_string(carrier.join("wit/deps/http.wit"))?;
    let version = http.lines().find_map(|line| line.strip_prefix("package wasi:http@")?.strip_suffix(';'));
    println!("cargo::rustc-env=WASI_VERSION={}", version.ok_or("the package wasi:http has a version")?);
    listing.push_str("]\n");
    fs::write(Path::new(&out).join("wasi.rs"), listing)?;
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    Ok(())
}
