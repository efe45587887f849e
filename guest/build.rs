//! Writes the WIT packages for the bindings generator, compresses the API description (to a tenth of its size), and sets the
//! sizes of the component's stack and initial memory.

use std::{env, error::Error, fs, path::Path};

use miniz_oxide::deflate::{CompressionLevel::BestCompression, compress_to_vec};

/// The size of the stack, in bytes. Decompressing the API description and parsing a body with the maximum nesting need the
/// most stack; 16 KiB are enough for both, as tests confirm.
const STACK_SIZE: u32 = 32 * 1024;

/// The initial memory of an instance, in bytes: stack, data, and a heap of about 50 KiB for an ordinary request. The host sets
/// up all of it for each new instance: with 384 KiB, a create takes 4 to 5 µs longer.
const INITIAL_MEMORY: u32 = 2 * 64 * 1024;

/// The compression level: the highest, because the description is compressed once and read often.
const LEVEL: u8 = BestCompression as u8;

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    orders_wit::write_to(&Path::new(&out).join("wit"))?;
    let openapi = minify(&fs::read_to_string("openapi.json")?);
    fs::write(Path::new(&out).join("openapi.deflate"), compress_to_vec(openapi.as_bytes(), LEVEL))?;
    println!("cargo::rerun-if-changed=openapi.json");
    if env::var_os("CARGO_CFG_TARGET_ARCH").is_some_and(|arch| arch == "wasm32") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK_SIZE}");
        println!("cargo::rustc-link-arg-cdylib=--initial-memory={INITIAL_MEMORY}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}

/// Removes the white space between the tokens of a JSON text.
fn minify(json: &str) -> String {
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
