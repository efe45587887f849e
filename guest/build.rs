//! Puts the WIT packages where the bindings generator finds them, and sizes the stack of the component.

use std::{env, error::Error, path::Path};

/// Bytes of stack. The default of 1 MiB would be 16 pages more to set up for every fresh instance; the
/// deepest need is a request body nested to the JSON reader's limit, which a test tries.
const STACK_SIZE: u32 = 128 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    orders_wit::write_to(&Path::new(&out).join("wit"))?;
    if env::var_os("CARGO_CFG_TARGET_ARCH").is_some_and(|arch| arch == "wasm32") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK_SIZE}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
