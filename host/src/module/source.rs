//! What a file that may be served holds: a component, or one that was compiled ahead of time.

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
        compiled::{ANEW, Compiled, is_compiled},
        component::{Module, ModuleError, check_header},
        hash::ModuleHash,
        keys::TrustedKeys,
        signature,
    },
    sandbox::engine::Compiler,
};

/// The largest component that is read, in bytes.
pub const MAX_COMPONENT_BYTES: u64 = 64 << 20;
/// The largest compiled component that is read, in bytes: native code takes some times as much.
pub const MAX_COMPILED_BYTES: u64 = 8 * MAX_COMPONENT_BYTES;
/// What code of wasmtime begins with that has no lines of ours before it.
const ELF: &[u8] = b"\x7fELF";

/// What a file that may be served holds.
#[derive(Debug)]
pub enum Source {
    /// A component, to be compiled.
    Component(Vec<u8>),
    /// A component that was compiled ahead of time.
    Compiled(Compiled),
}

impl Source {
    /// Reads a file. One that was compiled ahead of time has to be trusted; a component has to be signed if there are
    /// keys.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if the file cannot be read, is too large, is compiled and not acceptable, or is not signed as it
    /// has to be; or if the options of trust do not go together, or the keys cannot be read.
    pub fn read(path: &Path, trust: &TrustConfig) -> Result<Self, ModuleError> {
        let refuse = |why: &str| refused(path, &why);
        let trust = trust.trust().map_err(ModuleError)?;
        let file = read(path).map_err(|why| refuse(&why))?;
        if file.starts_with(ELF) {
            let why =
                format!("it is native code of unknown origin; to have a file that can be loaded, {ANEW}");
            return Err(refuse(&why));
        }
        if !is_compiled(&file) {
            return check_signed(&file, trust).map_err(|why| refuse(&why)).map(|()| Self::Component(file));
        }
        match trust {
            Trust::Compiled(trusted) => {
                Compiled::check(file, trusted).map(Self::Compiled).map_err(|why| refuse(&why))
            }
            Trust::Components => Err(refuse(
                "it is compiled: native code, which runs outside of the sandbox and may do all that this process may; \
                 if it comes from where nobody else can write, --trust-compiled accepts it",
            )),
            Trust::Signed(_) => Err(refuse(
                "it is compiled: native code, which no signature covers, and only signed components are accepted; \
                 name the signed component that it was made of",
            )),
        }
    }

    /// Accepts a component that comes from elsewhere than a file of the operator's. It has to be signed if there are
    /// keys, and is never accepted compiled.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if it is no component, or not signed as it has to be.
    pub fn accept(bytes: Vec<u8>, trust: &TrustConfig) -> Result<Self, ModuleError> {
        let trust = trust.trust().map_err(ModuleError)?;
        if is_compiled(&bytes) || bytes.starts_with(ELF) {
            let why = "it is compiled: native code, which no sandbox holds; push the component, which is compiled here";
            return Err(ModuleError(why.to_owned()));
        }
        check_header(&bytes).and_then(|()| check_signed(&bytes, trust)).map_err(ModuleError)?;
        Ok(Self::Component(bytes))
    }

    /// Names the module that it holds.
    pub fn hash(&self) -> ModuleHash {
        match self {
            Self::Component(bytes) => ModuleHash::of(bytes),
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

    /// What an engine must have to load it.
    pub fn compiler(&self) -> Compiler {
        match self {
            Self::Component(_) => Compiler::On,
            Self::Compiled(_) => Compiler::Off,
        }
    }

    /// Makes a module of it.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if it is no valid component, or does not fit this machine or what an instance may have.
    pub fn load(&self, engine: &Engine) -> Result<Module, ModuleError> {
        match self {
            Self::Component(bytes) => Module::compile(engine, bytes),
            Self::Compiled(compiled) => compiled.load(engine),
        }
    }
}

/// Checks the signature of a component, if it has to have one.
fn check_signed(component: &[u8], trust: Trust<'_>) -> Result<(), String> {
    if let Trust::Signed(file) = trust {
        let keys = TrustedKeys::read(file)?;
        let key = signature::check(component, &keys).map_err(|error| error.to_string())?;
        tracing::info!(module = %ModuleHash::of(component), %key, "signed by a trusted key");
    }
    Ok(())
}

/// Stands for standard input or output in the place of a file.
pub const STANDARD: &str = "-";

/// Reads a component that is to be compiled, from a file or from standard input.
///
/// # Errors
///
/// [`ModuleError`] if the file cannot be read, is too large, or is compiled already.
pub fn read_component(path: &Path) -> Result<Vec<u8>, ModuleError> {
    let bytes = if path == Path::new(STANDARD) { read_all(io::stdin().lock(), 0) } else { read(path) };
    let bytes = bytes.map_err(|why| refused(path, &why))?;
    if is_compiled(&bytes) {
        return Err(refused(path, &"it is compiled already; name the file of the component"));
    }
    Ok(bytes)
}

/// A fault of a file, with its name.
pub fn refused(path: &Path, why: &dyn fmt::Display) -> ModuleError {
    ModuleError(format!("component {}: {why}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    // Before it is opened: opening a pipe would wait for its other end.
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file; name a component's file".to_owned());
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
        return Err(format!("it has more than the {limit} bytes that are accepted"));
    }
    Ok(bytes)
}

/// Reads on, up to one byte more than `limit`; makes room for as many as are expected.
fn read_up_to(limit: u64, file: impl Read, expected: u64, bytes: &mut Vec<u8>) -> Result<(), String> {
    let left = limit.saturating_add(1).saturating_sub(size(bytes));
    bytes.reserve(usize::try_from(expected.min(left)).unwrap_or_default());
    file.take(left).read_to_end(bytes).map(drop).map_err(|error| error.to_string())
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
