//! Puts the WIT packages where the bindings generator finds them, and sizes the stack of the component.

use std::{env, error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    orders_wit::write_to(&Path::new(&out).join("wit"))?;
    println!("cargo::rustc-link-arg-cdylib=-zstack-size=65536");
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
