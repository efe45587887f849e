//! Writes the WIT packages for the bindings generator, completes and compresses the API description, and sets the sizes of the
//! component's stack and initial memory.

use std::{env, error::Error, fs, path::Path};

use miniz_oxide::deflate::{CompressionLevel::UberCompression, compress_to_vec};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

#[path = "src/gzip/file.rs"]
mod file;

/// The size of the stack, in bytes. Decompressing the API description and parsing a body with the maximum nesting need the
/// most stack; 16 KiB are enough for both, as tests confirm.
const STACK_SIZE: u32 = 32 * 1024;

/// The initial memory of an instance, in bytes: stack, data, and a heap of about 50 KiB for an ordinary request. The host sets
/// up all of it for each new instance: with 384 KiB, a create takes 4 to 5 µs longer.
const INITIAL_MEMORY: u32 = 2 * 64 * 1024;

/// The compression level: the highest, because the description is compressed once and read often.
const LEVEL: u8 = UberCompression as u8;

/// The media type of errors.
const PROBLEM: &str = "application/problem+json";

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    let out = Path::new(&out);
    orders_wit::write_to(&out.join("wit"))?;
    write_description(out)?;
    println!("cargo::rerun-if-changed=openapi.json");
    println!("cargo::rerun-if-changed=src/gzip/file.rs");
    if env::var_os("CARGO_CFG_TARGET_ARCH").is_some_and(|arch| arch == "wasm32") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK_SIZE}");
        println!("cargo::rustc-link-arg-cdylib=--initial-memory={INITIAL_MEMORY}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}

/// Writes the complete API description: plain for the tests, and for the component in the gzip format, with its size and its
/// entity tag.
fn write_description(out: &Path) -> Result<(), Box<dyn Error>> {
    let mut description = serde_json::from_str(&fs::read_to_string("openapi.json")?)?;
    complete(&mut description).ok_or("openapi.json has no paths, or no common parts")?;
    let json = serde_json::to_vec(&description)?;
    let tag: String = Sha256::digest(&json).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    fs::write(out.join("openapi.json"), &json)?;
    let deflated = compress_to_vec(&json, LEVEL);
    fs::write(out.join("openapi.gz"), [&file::HEADER[..], &deflated, &file::trailer(&json)].concat())?;
    fs::write(out.join("openapi.size"), json.len().to_string())?;
    fs::write(out.join("openapi.tag"), tag)?;
    Ok(())
}

/// Adds the common parts: `x-every-operation` to every operation, `x-every-response` to every response, and `x-every-problem`
/// to every response that is an error. A response of an operation that is `null` is removed: the operation does not have it.
fn complete(description: &mut Map<String, Value>) -> Option<()> {
    let every_operation = description.shift_remove("x-every-operation")?;
    let every_response = description.shift_remove("x-every-response")?;
    let every_problem = description.shift_remove("x-every-problem")?;
    let complete_responses = |responses: &mut Map<String, Value>| {
        responses.retain(|_, response| !response.is_null());
        for response in responses.values_mut().filter(|response| response.get("$ref").is_none()) {
            add(response, &every_response);
            if response.get("content").is_some_and(|content| content.get(PROBLEM).is_some()) {
                add(response, &every_problem);
            }
        }
    };
    for path in description.get_mut("paths")?.as_object_mut()?.values_mut() {
        for operation in path.as_object_mut()?.values_mut() {
            add(operation, &every_operation);
            let responses = operation.get_mut("responses")?.as_object_mut()?;
            complete_responses(responses);
            responses.sort_keys();
        }
    }
    complete_responses(description.get_mut("components")?.get_mut("responses")?.as_object_mut()?);
    Some(())
}

/// Adds the members of an object that another one lacks, at every level, and the elements of arrays. Other values stay as they
/// are; so do references, and choices of schemas.
fn add(to: &mut Value, common: &Value) {
    match (to, common) {
        (Value::Object(to), _) if to.contains_key("$ref") || to.contains_key("oneOf") => {}
        (_, Value::Object(common)) if common.contains_key("$ref") => {}
        (Value::Object(to), Value::Object(common)) => {
            for (name, value) in common {
                match to.get_mut(name) {
                    Some(present) => add(present, value),
                    None => _ = to.insert(name.clone(), value.clone()),
                }
            }
        }
        (Value::Array(to), Value::Array(common)) => to.extend_from_slice(common),
        _ => {}
    }
}
