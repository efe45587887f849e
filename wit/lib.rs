//! The WIT of this project together with the WASI 0.2 packages that it builds on.
//!
//! - `state/store.wit`: `orders:state/store`, what a component asks of the host's store;
//! - `service/world.wit`: `orders:service/service`, what a component of ours imports and exports.
//!
//! Build scripts write them to a folder for the bindings generator; a test reads them back to hold the
//! finished component to its world.

use std::{fs, io, path::Path};

/// The packages of WASI 0.2: file name and text.
const WASI: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/wasi.rs"));
/// The version of those packages.
const WASI_VERSION: &str = env!("WASI_VERSION");

/// Writes the packages of WASI to `folder`, as of the version `version`. Between versions of 0.2 only a few items were
/// added, and no component has to use those.
///
/// # Errors
///
/// Whatever the file system answers.
pub fn write_wasi_to(folder: &Path, version: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in WASI {
        fs::write(folder.join(name), text.replace(WASI_VERSION, version))?;
    }
    Ok(())
}

/// Writes the package `orders:state` to `folder`, alone.
///
/// # Errors
///
/// Whatever the file system answers.
pub fn write_state_to(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("state.wit"), include_str!("state/store.wit"))
}

/// Writes all packages below `folder`, laid out as WIT tools expect: `orders:service` in the folder itself,
/// the packages it refers to in `deps`.
///
/// # Errors
///
/// Whatever the file system answers.
pub fn write_to(folder: &Path) -> io::Result<()> {
    let deps = folder.join("deps");
    write_wasi_to(&deps, WASI_VERSION)?;
    fs::write(deps.join("state.wit"), include_str!("state/store.wit"))?;
    fs::write(folder.join("service.wit"), include_str!("service/world.wit"))
}
