//! Writes the WIT packages where the bindings generator reads them, and sets the stack size of the component.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: cargo sets it for build scripts")?;
    let wit = Path::new(&out).join("wit");
    orders_wit::write_to(&wit)?;
    fs::copy("wit/keyvalue.wit", wit.join("deps/keyvalue.wit"))?;
    println!("cargo::rustc-link-arg-cdylib=-zstack-size=65536");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=wit");
    Ok(())
}
