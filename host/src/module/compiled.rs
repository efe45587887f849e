//! A component that was compiled ahead of time: how its file is written, recognised, checked and loaded.
//!
//! The file begins with a text header (see `compiled_header`); then comes the code, as wasmtime serializes it.
//!
//! Native code runs outside the sandbox, and no check of the file makes it trustworthy: the operator decides that. The
//! checks find accidental damage and mismatches.

use std::{fmt, io, path::Path};

use wasmtime::{Engine, component::Component};

use crate::{
    config::Trusted,
    module::{
        compiled_header::{self, Header},
        component::{Module, ModuleError, check_header, one_line},
        file,
        hash::ModuleHash,
        target::{self, fits_machine},
    },
    sandbox::{
        engine::{self, TARGET},
        memory_error::with_remedy,
    },
};

/// The prefix of wasmtime's error when the processor lacks a feature that the code needs.
const PROCESSOR_LACKS_FEATURE: &str = "compilation settings of module incompatible with native host";
/// The remedy for most faults of a compiled component.
pub const RECOMPILE_HINT: &str = compiled_header::RECOMPILE_HINT;

/// A component that this version of the host has compiled, unchanged since. Its origin is trusted: a value of this type
/// exists only where this process compiled the component or the caller has passed a [`Trusted`].
pub struct CompiledComponent {
    /// The hash of the component it was compiled from.
    pub hash: ModuleHash,
    /// The target it was compiled for.
    pub target: String,
    /// The size of the component it was compiled from, in bytes.
    component_size: usize,
    /// The whole file: header and code.
    file: Vec<u8>,
    /// The offset of the code in the file.
    code_offset: usize,
}

impl fmt::Debug for CompiledComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hash, target, .. } = self;
        f.debug_struct("CompiledComponent")
            .field("hash", hash)
            .field("target", target)
            .finish_non_exhaustive()
    }
}

impl CompiledComponent {
    /// Compiles a component: for any processor of `target`, or, without one, for this machine's own processor.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if the bytes are not a valid component, or this program cannot compile for the target.
    pub fn compile(component: &[u8], target: Option<&str>) -> Result<Self, ModuleError> {
        let failed = |what: &str, error| ModuleError(format!("{what}: {}", one_line(&error)));
        check_header(component).map_err(ModuleError)?;
        let name = target.unwrap_or(TARGET);
        let cannot_compile = format!("cannot compile for {name}");
        if !target::is_supported(name) {
            return Err(ModuleError(format!(
                "{cannot_compile}: this host compiles for {}, for example {TARGET}",
                target::SUPPORTED
            )));
        }
        let configuration = engine::configuration(target).map_err(|error| failed(&cannot_compile, error))?;
        let engine = engine::compiler(target).map_err(|error| failed(&cannot_compile, error))?;
        let code =
            engine.precompile_component(component).map_err(|error| failed("it does not compile", error))?;
        let hash = ModuleHash::digest(component);
        let header = compiled_header::write(name, &configuration, hash, component.len(), &code);
        let mut file = header.into_bytes();
        let code_offset = file.len();
        file.extend(code);
        Ok(Self { hash, target: name.to_owned(), component_size: component.len(), file, code_offset })
    }

    /// Checks a file. Nothing in a file proves its origin, so the caller has to state that it is trusted.
    ///
    /// # Errors
    ///
    /// One line that names the problem and its remedy.
    pub fn from_trusted_file(file: Vec<u8>, _: Trusted) -> Result<Self, String> {
        let header = Header::parse(&file)?;
        header.check_intact(file.get(header.code_offset..).unwrap_or_default())?;
        header.check_compatible()?;
        let Header { hash, component_size, code_offset, .. } = header;
        let target = header.target.to_owned();
        Ok(Self { hash, target, component_size, file, code_offset })
    }

    /// Loads the code as a module: the same module as the component it was compiled from.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if this machine's processor lacks a feature, or an instance would exceed its limits.
    pub fn load(&self, engine: &Engine) -> Result<Module, ModuleError> {
        let code = self.file.get(self.code_offset..).unwrap_or_default();
        // SAFETY: `precompile_component` produced these bytes. There are three ways they got here:
        // - This process compiled them just now.
        // - A child process of this same program compiled them and sent them through a pipe that no other process has.
        //   They may since have been in the module folder, where `shelf` makes sure that no other user can write.
        // - The operator has declared the file trusted (`Trusted`), and `from_trusted_file` found it to be, down to the
        //   last bit, one that this version of the host wrote for this configuration. Anyone who can write that file can
        //   execute arbitrary code; the operator guarantees that only trusted users can.
        // The bytes are copied, so a later change of the file has no effect.
        #[allow(unsafe_code, reason = "native code is loaded; there is no safe way to do so")]
        let component = unsafe { Component::deserialize(engine, code) };
        let component = component.map_err(|error| {
            let why = with_remedy(&error);
            ModuleError(if why.starts_with(PROCESSOR_LACKS_FEATURE) {
                format!(
                    "it was compiled for a processor with features that this one lacks ({why}): \
                     `orders-host compile --target {TARGET}` compiles for any processor of this kind"
                )
            } else {
                format!("it cannot be loaded: {why}")
            })
        })?;
        Ok(Module::new(engine, self.hash, self.component_size, component))
    }

    /// The whole file: header and code.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// The size of the component it was compiled from, in bytes.
    pub fn component_size(&self) -> u64 {
        u64::try_from(self.component_size).unwrap_or(u64::MAX)
    }

    /// Whether it was compiled for this kind of machine, and can be loaded.
    pub fn fits_machine(&self) -> bool {
        fits_machine(&self.target)
    }

    /// Writes the file, replacing an existing one in one step: a reader opens either the old file or the new one, never
    /// a part of one. If this fails, nothing has changed.
    ///
    /// # Errors
    ///
    /// The operating system's error, or that the path names something other than a file.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        file::replace(path, &self.file)
    }
}

/// Whether a file is meant to be a compiled component.
pub fn is_compiled(file: &[u8]) -> bool {
    compiled_header::has_magic(file)
}
