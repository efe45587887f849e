//! A module: the bytes of a component, checked, compiled and ready to be called.

use std::{
    fmt,
    fs::{self, File},
    io::Read,
    path::Path,
};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{engine::Runtime, instance::InstanceState};

/// The largest component that is read, in bytes.
pub const MAX_MODULE_BYTES: u64 = 64 << 20;

/// What every component begins with: the magic number and the component layer of the binary format.
const COMPONENT_HEADER: &[u8] = b"\0asm\x0d\x00\x01\x00";
/// What every core module begins with.
const CORE_HEADER: &[u8] = b"\0asm\x01\x00\x00\x00";

/// The SHA-256 of a module's bytes, which names it. Displays as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModuleHash([u8; 32]);

impl ModuleHash {
    /// The first 12 digits: enough to tell modules apart in a log.
    pub fn short(&self) -> String {
        self.0.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for ModuleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a module cannot be served: one line that says what was wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleError(String);

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ModuleError {}

/// A component that is compiled, with the names of what it imports and exports.
#[allow(missing_debug_implementations, reason = "compiled code has nothing to show")]
pub struct Module {
    /// Names the module.
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
    /// Reads and compiles a component.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if the file cannot be read, or is not a valid component.
    pub fn read(runtime: &Runtime, path: &Path) -> Result<Self, ModuleError> {
        let refuse = |why: &dyn fmt::Display| ModuleError(format!("component {}: {why}", path.display()));
        // Before it is opened: opening a pipe would wait for its other end.
        if !fs::metadata(path).map_err(|error| refuse(&error))?.is_file() {
            return Err(refuse(&"it is not a regular file; name a component's file"));
        }
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_MODULE_BYTES.saturating_add(1)).read_to_end(&mut bytes))
            .map_err(|error| refuse(&error))?;
        if u64::try_from(bytes.len()).map_or(true, |size| size > MAX_MODULE_BYTES) {
            return Err(refuse(&format_args!(
                "it has more than the {MAX_MODULE_BYTES} bytes that are accepted"
            )));
        }
        Self::compile(runtime, &bytes).map_err(|why| refuse(&why))
    }

    fn compile(runtime: &Runtime, bytes: &[u8]) -> Result<Self, String> {
        check_header(bytes)?;
        let component = Component::new(&runtime.engine, bytes)
            .map_err(|error| format!("it does not compile: {}", one_line(&error)))?;
        let kind = component.component_type();
        let imports = kind.imports(&runtime.engine).map(|(name, _)| name.to_owned()).collect();
        let exports = kind.exports(&runtime.engine).map(|(name, _)| name.to_owned()).collect();
        let hash = ModuleHash(Sha256::digest(bytes).into());
        Ok(Self { hash, size: bytes.len(), imports, exports, component })
    }

    /// Links the component with what this host offers.
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
                    "it imports what this host does not offer (the host offers wasi:*@0.2 and \
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

fn check_header(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        Err("the file is empty; a WebAssembly component is expected".into())
    } else if bytes.starts_with(CORE_HEADER) {
        Err("this is a core module, not a component; `wasm-tools component new` makes one of it".into())
    } else if !bytes.starts_with(COMPONENT_HEADER) {
        Err("this is not WebAssembly; a component in the binary format is expected".into())
    } else {
        Ok(())
    }
}

/// An error with its causes, on one line.
fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}
