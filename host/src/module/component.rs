//! A module: a component that is checked, compiled and ready to link.

use std::fmt;

use wasmtime::{Engine, component::Component};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{
    module::hash::ModuleHash,
    sandbox::{engine::Runtime, instance::InstanceState, memory_error::with_remedy},
};

/// The first bytes of every component: the magic number, and the component layer of the binary format.
pub const COMPONENT_HEADER: &[u8] = b"\0asm\x0d\x00\x01\x00";
/// The first bytes of every core module.
const CORE_HEADER: &[u8] = b"\0asm\x01\x00\x00\x00";

/// Why a module cannot be served: one line that names the problem and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleError(pub String);

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ModuleError {}

/// A compiled component, and the names of its imports and exports.
#[allow(missing_debug_implementations, reason = "compiled code has no readable form")]
pub struct Module {
    /// Identifies the module.
    pub hash: ModuleHash,
    /// The size of the component, in bytes.
    pub size: usize,
    /// The interfaces it imports.
    pub imports: Vec<String>,
    /// The interfaces it exports.
    pub exports: Vec<String>,
    component: Component,
}

impl Module {
    /// Compiles a component.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if the bytes are not a valid component, or an instance would exceed its limits.
    pub fn compile(engine: &Engine, bytes: &[u8]) -> Result<Self, ModuleError> {
        check_header(bytes).map_err(ModuleError)?;
        let component = Component::new(engine, bytes)
            .map_err(|error| ModuleError(format!("it does not compile: {}", with_remedy(&error))))?;
        Ok(Self::new(engine, ModuleHash::digest(bytes), bytes.len(), component))
    }

    /// Wraps a component that is compiled already; `hash` and `size` are those of the bytes it was compiled from.
    pub fn new(engine: &Engine, hash: ModuleHash, size: usize, component: Component) -> Self {
        let component_type = component.component_type();
        let imports = component_type.imports(engine).map(|(name, _)| name.to_owned()).collect();
        let exports = component_type.exports(engine).map(|(name, _)| name.to_owned()).collect();
        Self { hash, size, imports, exports, component }
    }

    /// Links the component with the interfaces that this host offers.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if it imports anything else, or exports no handler.
    pub fn link(&self, runtime: &Runtime) -> Result<ProxyPre<InstanceState>, ModuleError> {
        runtime
            .linker
            .instantiate_pre(&self.component)
            .map_err(|error| {
                ModuleError(format!(
                    "it imports an interface that this host does not offer (it offers wasi:*@0.2 and \
                     orders:state/store@0.1): {}",
                    one_line(&error)
                ))
            })
            .and_then(|linked| {
                ProxyPre::new(linked).map_err(|error| {
                    ModuleError(format!(
                        "it does not export wasi:http/incoming-handler@0.2: {}",
                        one_line(&error)
                    ))
                })
            })
    }
}

/// Checks that the bytes begin like a component.
///
/// # Errors
///
/// One line that says what the bytes are instead.
pub fn check_header(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        Err("the file is empty; a WebAssembly component is expected".into())
    } else if bytes.starts_with(CORE_HEADER) {
        Err("this is a core module, not a component; convert it with `wasm-tools component new`".into())
    } else if !bytes.starts_with(COMPONENT_HEADER) {
        Err("this is not WebAssembly; a component in the binary format is expected".into())
    } else {
        Ok(())
    }
}

/// Formats an error and its causes on one line.
pub fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}
