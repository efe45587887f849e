//! `orders-componentize MODULE COMPONENT`: encodes a core module for `wasm32-unknown-unknown` as a component.
//!
//! The module carries the types of its world in a custom section, which wit-bindgen wrote
//! (docs/adr/0001-core-module-and-component-encoder.md). This is a program of its own so that nothing else waits for the
//! encoder to compile.

use std::{env, error::Error, fs, path::PathBuf, process::ExitCode};

use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    match encode() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orders-componentize: {error}");
            ExitCode::FAILURE
        }
    }
}

fn encode() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [module, component] = arguments.as_slice() else {
        return Err("usage: orders-componentize MODULE COMPONENT".into());
    };
    let at = |path: &PathBuf, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = fs::read(module).map_err(|error| at(module, &error))?;
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| at(module, &format!("{error:#}")))?;
    component
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(component, encoded))
        .map_err(|error| at(component, &error))?;
    Ok(())
}
