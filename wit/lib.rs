//! The WIT packages of this project and the WASI 0.2 packages that they depend on.
//!
//! - `state/store.wit`: `orders:state/store`, the interface of the host's store;
//! - `service/world.wit`: `orders:service/service`, the world that the orders component implements.
//!
//! Build scripts write these packages to a folder for the bindings generator. A test reads them back and checks that
//! the finished component conforms to its world.

use std::{fs, io, path::Path};

/// The WASI 0.2 packages: file name and text.
const WASI: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/wasi.rs"));
/// The version of those packages.
const WASI_VERSION: &str = env!("WASI_VERSION");

/// Writes the WASI packages to `folder`, relabelled as version `version`. Versions of 0.2 differ only in a few added
/// items, which no component is required to use.
///
/// # Errors
///
/// Any file system error.
pub fn write_wasi_to(folder: &Path, version: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in WASI {
        fs::write(folder.join(name), text.replace(WASI_VERSION, version))?;
    }
    Ok(())
}

/// Writes only the package `orders:state` to `folder`.
///
/// # Errors
///
/// Any file system error.
pub fn write_state_to(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("state.wit"), include_str!("state/store.wit"))
}

/// Writes all packages to `folder` in the layout that WIT tools expect: `orders:service` in the folder itself, its
/// dependencies in `deps`.
///
/// # Errors
///
/// Any file system error.
pub fn write_to(folder: &Path) -> io::Result<()> {
    let deps = folder.join("deps");
    write_wasi_to(&deps, WASI_VERSION)?;
    fs::write(deps.join("state.wit"), include_str!("state/store.wit"))?;
    fs::write(folder.join("service.wit"), include_str!("service/world.wit"))
}
