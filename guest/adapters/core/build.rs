//! Puts the WIT packages where the bindings generator finds them.

use std::{env, error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    orders_wit::write_state_to(&Path::new(&out).join("wit"))?;
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
