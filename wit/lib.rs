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

/// Writes all packages below `folder`, laid out as WIT tools expect: `orders:service` in the folder itself,
/// the packages it refers to in `deps`.
///
/// # Errors
///
/// Whatever the file system answers.
pub fn write_to(folder: &Path) -> io::Result<()> {
    let deps = folder.join("deps");
    fs::create_dir_all(&deps)?;
    for (name, text) in WASI {
        fs::write(deps.join(name), text)?;
    }
    fs::write(deps.join("state.wit"), include_str!("state/store.wit"))?;
    fs::write(folder.join("service.wit"), include_str!("service/world.wit"))
}
