//! Puts the WIT packages where the bindings generator finds them, packs the API description (to a tenth of its size),
//! and sizes the stack of the component.

use std::{env, error::Error, fs, path::Path};

use miniz_oxide::deflate::{CompressionLevel::BestCompression, compress_to_vec};

/// Bytes of stack. The deepest needs are to unpack the API description and to read a body nested to the JSON reader's
/// limit, which tests do: 16 KiB are enough for both.
const STACK_SIZE: u32 = 32 * 1024;

/// Bytes of memory that an instance has from the start: stack, data, and a heap of some 50 KiB for an ordinary request.
/// A host sets up all of it for a fresh instance: with 384 KiB, a create takes 4 to 5 µs more.
const INITIAL_MEMORY: u32 = 2 * 64 * 1024;

/// How hard to compress what is compressed once and read often.
const BEST: u8 = BestCompression as u8;

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    orders_wit::write_to(&Path::new(&out).join("wit"))?;
    let openapi = packed(&fs::read_to_string("openapi.json")?);
    fs::write(Path::new(&out).join("openapi.deflate"), compress_to_vec(openapi.as_bytes(), BEST))?;
    println!("cargo::rerun-if-changed=openapi.json");
    if env::var_os("CARGO_CFG_TARGET_ARCH").is_some_and(|arch| arch == "wasm32") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK_SIZE}");
        println!("cargo::rustc-link-arg-cdylib=--initial-memory={INITIAL_MEMORY}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}

/// A JSON text without the white space between its tokens.
fn packed(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    json.chars()
        .filter(|character| {
            let keep = quoted || !character.is_ascii_whitespace();
            (quoted, escaped) = match character {
                '"' if !escaped => (!quoted, false),
                '\\' => (quoted, !escaped),
                _ => (quoted, false),
            };
            keep
        })
        .collect()
}
