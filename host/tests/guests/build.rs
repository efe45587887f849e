//! Writes the WIT packages where the bindings generator reads them.

use std::{env, error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: cargo sets it for build scripts")?;
    orders_wit::write_to(&Path::new(&out).join("wit"))?;
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
