//! `orders-componentize MODULE COMPONENT`: encodes a core module for `wasm32-unknown-unknown` as a component.
//!
//! A custom section of the module, written by wit-bindgen, contains the types of its world
//! (docs/adr/0001-core-module-and-component-encoder.md). This is a program of its own, so that nothing else has to compile
//! the encoder.

use std::{env, fmt::Display, fs, path::Path, process::ExitCode};

use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    let Err(error) = encode() else { return ExitCode::SUCCESS };
    eprintln!("orders-componentize: {error}");
    ExitCode::FAILURE
}

fn encode() -> Result<(), String> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [module, component] = arguments.as_slice() else {
        return Err("usage: orders-componentize MODULE COMPONENT".into());
    };
    let (module, component) = (Path::new(module), Path::new(component));
    let error = |path: &Path, error: &dyn Display| format!("{}: {error}", path.display());
    let bytes = fs::read(module).map_err(|cause| error(module, &cause))?;
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|encoder| encoder.encode())
        .map_err(|cause| error(module, &format!("{cause:#}")))?;
    let folder = component.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(component, encoded))
        .map_err(|cause| error(component, &cause))
}
