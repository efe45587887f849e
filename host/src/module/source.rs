//! The source of a module: a component, or one that was compiled ahead of time.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use wasmtime::Engine;

use crate::{
    config::{Trust, TrustConfig},
    module::{
        compiled::{CompiledComponent, RECOMPILE_HINT, is_compiled},
        component::{Module, ModuleError, check_header},
        file,
        hash::ModuleHash,
        keys::TrustedKeys,
        signature,
    },
    sandbox::engine::Compiler,
};

/// Maximum size of a component, in bytes.
pub const MAX_COMPONENT_BYTES: u64 = 64 << 20;
/// Maximum size of a compiled component, in bytes: native code is several times as large.
pub const MAX_COMPILED_BYTES: u64 = 8 * MAX_COMPONENT_BYTES;
/// The first bytes of code that wasmtime's own tools have compiled: an ELF file, without the header of this host.
const ELF: &[u8] = b"\x7fELF";

/// The source of a module.
#[derive(Debug)]
pub enum Source {
    /// A component, still to be compiled.
    Component(Vec<u8>),
    /// A component that was compiled ahead of time.
    Compiled(CompiledComponent),
}

impl Source {
    /// Reads the operator's own file. A compiled component must be trusted; a component must be signed if there are
    /// trusted keys.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if the file cannot be read, is too large, is a compiled component that is not acceptable, or lacks
    /// a required signature; also if the trust options contradict each other, or the keys cannot be read.
    pub fn read(path: &Path, trust: &TrustConfig) -> Result<Self, ModuleError> {
        let error = |why: &str| file_error(path, &why);
        let trust = trust.trust().map_err(ModuleError)?;
        let file = read(path).map_err(|why| error(&why))?;
        if file.starts_with(ELF) {
            let why = format!("it is native code of unknown origin, which is never loaded; {RECOMPILE_HINT}");
            return Err(error(&why));
        }
        if !is_compiled(&file) {
            check_header(&file).map_err(|why| error(&why))?;
            let keys = required_keys(trust)?;
            return verify_required_signature(&file, keys.as_ref())
                .map_err(|why| error(&why))
                .map(|()| Self::Component(file));
        }
        match trust {
            Trust::Compiled(trusted) => CompiledComponent::from_trusted_file(file, trusted)
                .map(Self::Compiled)
                .map_err(|why| error(&why)),
            Trust::Components => Err(error(
                "it is compiled: native code, which runs outside the sandbox with all permissions of this process; if \
                 you trust its origin, accept it with --trust-compiled",
            )),
            Trust::Signed(_) => Err(error(
                "it is compiled: native code cannot carry a signature, and only signed components are accepted; name the \
                 signed component that it was compiled from",
            )),
        }
    }

    /// Accepts a component from anywhere but the operator's own file. It must be signed if there are trusted keys; compiled
    /// code is always rejected.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if the bytes are not a component, or lack a required signature; also if the trust options
    /// contradict each other, or the keys cannot be read.
    pub fn from_component(bytes: Vec<u8>, trust: &TrustConfig) -> Result<Self, ModuleError> {
        let trust = trust.trust().map_err(ModuleError)?;
        if is_compiled(&bytes) || bytes.starts_with(ELF) {
            let why = "it is compiled: native code, which runs outside the sandbox; push the component, and the service \
                       compiles it";
            return Err(ModuleError(why.to_owned()));
        }
        check_header(&bytes).map_err(ModuleError)?;
        verify_required_signature(&bytes, required_keys(trust)?.as_ref()).map_err(ModuleError)?;
        Ok(Self::Component(bytes))
    }

    /// The hash of the component, which identifies the module.
    pub fn hash(&self) -> ModuleHash {
        match self {
            Self::Component(bytes) => ModuleHash::digest(bytes),
            Self::Compiled(compiled) => compiled.hash,
        }
    }

    /// The size of the component, in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Component(bytes) => size(bytes),
            Self::Compiled(compiled) => compiled.component_size(),
        }
    }

    /// Whether an engine needs a compiler to load it.
    pub fn compiler(&self) -> Compiler {
        match self {
            Self::Component(_) => Compiler::On,
            Self::Compiled(_) => Compiler::Off,
        }
    }

    /// Loads it as a module.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if it is not a valid component, does not fit this machine, or an instance would exceed its limits.
    pub fn load(&self, engine: &Engine) -> Result<Module, ModuleError> {
        match self {
            Self::Component(bytes) => Module::compile(engine, bytes),
            Self::Compiled(compiled) => compiled.load(engine),
        }
    }
}

/// The keys that a signature is required of, if one is.
fn required_keys(trust: Trust<'_>) -> Result<Option<TrustedKeys>, ModuleError> {
    match trust {
        Trust::Signed(keys) => TrustedKeys::read(keys).map(Some).map_err(ModuleError),
        Trust::Components | Trust::Compiled(_) => Ok(None),
    }
}

/// Verifies the signature of a component, if one is required.
fn verify_required_signature(component: &[u8], keys: Option<&TrustedKeys>) -> Result<(), String> {
    if let Some(keys) = keys {
        let key = signature::verify(component, keys).map_err(|error| error.to_string())?;
        let module = ModuleHash::digest(component);
        tracing::info!(event = "module.signature_verified", %module, %key, "signature verified");
    }
    Ok(())
}

/// The path that stands for standard input or standard output.
pub const STDIO_PATH: &str = "-";

/// Reads a component to be compiled or signed, from a file or from standard input.
///
/// # Errors
///
/// [`ModuleError`] if the file cannot be read, is too large, or is compiled already.
pub fn read_component(path: &Path) -> Result<Vec<u8>, ModuleError> {
    let bytes = if path == Path::new(STDIO_PATH) { read_all(io::stdin().lock(), 0) } else { read(path) };
    let bytes = bytes.map_err(|why| file_error(path, &why))?;
    if is_compiled(&bytes) {
        return Err(file_error(
            path,
            &"it is already compiled; name the component that it was compiled from",
        ));
    }
    Ok(bytes)
}

/// An error about a component's file, with its path.
pub fn file_error(path: &Path, why: &dyn fmt::Display) -> ModuleError {
    ModuleError(format!("component {}: {why}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    // Checked before opening it, because opening a pipe would wait for its other end.
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file; name the file of a component".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let expected = file.metadata().map_or(0, |metadata| metadata.len());
    read_all(file, expected)
}

fn read_all(mut file: impl Read, expected: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut limit = MAX_COMPONENT_BYTES;
    read_up_to(limit, &mut file, expected, &mut bytes)?;
    if is_compiled(&bytes) {
        limit = MAX_COMPILED_BYTES;
        read_up_to(limit, &mut file, expected, &mut bytes)?;
    }
    if size(&bytes) > limit {
        return Err(file::too_large(limit));
    }
    Ok(bytes)
}

/// Continues to read until `bytes` has one byte more than `limit`; reserves room for the `expected` bytes.
fn read_up_to(limit: u64, file: impl Read, expected: u64, bytes: &mut Vec<u8>) -> Result<(), String> {
    let left = limit.saturating_add(1).saturating_sub(size(bytes));
    bytes.reserve(usize::try_from(expected.min(left)).unwrap_or_default());
    file.take(left).read_to_end(bytes).map(drop).map_err(|error| error.to_string())
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
