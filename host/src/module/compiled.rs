//! The file of a component that was compiled ahead of time: how it is written, recognised, checked and loaded.
//!
//! It begins with lines of text, which end with an empty one; then comes the code, as wasmtime serializes it:
//!
//! ```text
//! orders-host compiled component
//! format 1
//! host 0.1.0
//! wasmtime 48.0.8
//! target x86_64-unknown-linux-gnu
//! configuration Config { wasm_mutable_global: true, … }
//! component <SHA-256 of the component> <its size>
//! code <size of the code>
//! sha256 <SHA-256 of the lines above and of the code>
//! ```
//!
//! Such code runs outside of the sandbox, so none of this makes it trustworthy: that is for the operator to say.
//! The checks find what went wrong by mistake.

use std::{fmt, io, path::Path, str::Lines};

use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use crate::{
    config::Trusted,
    module::{
        component::{Module, ModuleError, check_header, one_line},
        file,
        hash::ModuleHash,
    },
    sandbox::engine::{self, TARGET, WASMTIME_VERSION},
};

/// What a compiled component begins with.
const MAGIC: &str = "orders-host compiled component\n";
/// The layout of the lines.
const FORMAT: &str = "1";
/// The version of this program.
const HOST_VERSION: &str = env!("CARGO_PKG_VERSION");
/// What this program can compile for beside its own kind of machine: architecture and operating system.
const FOREIGN: &[[&str; 2]] =
    if cfg!(feature = "foreign") { &[["x86_64", "linux"], ["aarch64", "linux"]] } else { &[] };
/// The lines have about two thousand bytes.
const MAX_LINES: usize = 16 << 10;
/// How wasmtime begins to say that a processor lacks what code needs.
const PROCESSOR: &str = "compilation settings of module incompatible with native host";
/// What helps against most of what may be wrong.
pub const ANEW: &str = "compile the component with this host, by `orders-host compile`";

/// A component that this version of the host has compiled, unchanged since. Its origin is trusted: nothing else
/// becomes a value of this type.
pub struct Compiled {
    /// The hash of the component it was compiled from.
    pub hash: ModuleHash,
    /// What it was compiled for.
    pub target: String,
    /// The size of the component it was compiled from, in bytes.
    component_size: usize,
    /// The whole file.
    file: Vec<u8>,
    /// Where the code begins in it.
    code_at: usize,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hash, target, .. } = self;
        f.debug_struct("Compiled").field("hash", hash).field("target", target).finish_non_exhaustive()
    }
}

impl Compiled {
    /// Compiles a component: for any processor of a target, or without one for this machine's own.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if the bytes are not a valid component, or this program cannot compile for the target.
    pub fn make(component: &[u8], target: Option<&str>) -> Result<Self, ModuleError> {
        let refuse = |what: &str, error| ModuleError(format!("{what}: {}", one_line(&error)));
        check_header(component).map_err(ModuleError)?;
        let name = target.unwrap_or(TARGET);
        let not_for = format!("cannot compile for {name}");
        if !fits_machine(name) && !FOREIGN.contains(&kind_of(name)) {
            let all = if FOREIGN.is_empty() {
                "its own kind of machine only"
            } else {
                "Linux on x86_64 and aarch64"
            };
            return Err(ModuleError(format!(
                "{not_for}: this host compiles for {all}, for example {TARGET}"
            )));
        }
        let configuration = engine::configuration(target).map_err(|error| refuse(&not_for, error))?;
        let engine = engine::compiler(target).map_err(|error| refuse(&not_for, error))?;
        let code =
            engine.precompile_component(component).map_err(|error| refuse("it does not compile", error))?;
        let hash = ModuleHash::of(component);
        let lines = format!(
            "{MAGIC}format {FORMAT}\nhost {HOST_VERSION}\nwasmtime {WASMTIME_VERSION}\ntarget {name}\n\
             configuration {configuration}\ncomponent {hash} {}\ncode {}\n",
            component.len(),
            code.len(),
        );
        let mut file = format!("{lines}sha256 {}\n\n", sha256(&lines, &code)).into_bytes();
        let code_at = file.len();
        file.extend(code);
        Ok(Self { hash, target: name.to_owned(), component_size: component.len(), file, code_at })
    }

    /// Checks a file. Trust in where it comes from cannot be found in it, and has to be given.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong with it, and what would be right.
    pub fn check(file: Vec<u8>, _: Trusted) -> Result<Self, String> {
        let head = Head::parse(&file)?;
        let Head { hash, component_size, code_at, .. } = head;
        let target = head.target.to_owned();
        let code = file.get(code_at..).unwrap_or_default();
        if code.len() != head.code_size {
            return Err(format!(
                "it has {} bytes of code, and should have {}: copy it again, or {ANEW}",
                code.len(),
                head.code_size
            ));
        }
        if sha256(head.summed, code) != head.sha256 {
            return Err(format!(
                "it is not as it was written (its SHA-256 differs): copy it again, or {ANEW}"
            ));
        }
        for (what, its, ours) in
            [("orders-host", head.host, HOST_VERSION), ("wasmtime", head.wasmtime, WASMTIME_VERSION)]
        {
            if its != ours {
                return Err(format!("it was compiled by {what} {its}, and this is {what} {ours}: {ANEW}"));
            }
        }
        if !fits_machine(&target) {
            return Err(format!("it was compiled for {target}, and this is {TARGET}: {ANEW}"));
        }
        let ours = engine::configuration(None).map_err(|error| one_line(&error))?;
        if head.configuration != ours {
            let differs = first_difference(head.configuration, &ours);
            return Err(format!(
                "it was compiled under another configuration of the engine ({differs}): {ANEW}"
            ));
        }
        Ok(Self { hash, target, component_size, file, code_at })
    }

    /// Makes a module of it: the same as of the component it was compiled from.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if this machine's processor is not up to it, or an instance needs more than it may have.
    pub fn load(&self, engine: &Engine) -> Result<Module, ModuleError> {
        let code = self.file.get(self.code_at..).unwrap_or_default();
        // SAFETY: these are bytes that `precompile_component` made. Either this process made them just now, or a process
        // of this program that it had started for that gave them to it through a pipe that nobody else has (and they
        // may have lain in the module folder since, where nobody else can write: `shelf` sees to that), or the
        // operator has said that the file is trusted (`Trusted`), and it is one that this version of the host wrote
        // for this configuration, down to the last bit (`check`). Whoever can write that file can have any code run:
        // that nobody else can is the operator's word. The bytes are copied, so that no later change matters.
        #[allow(unsafe_code, reason = "native code is loaded; there is no safe way to do so")]
        let component = unsafe { Component::deserialize(engine, code) };
        let component = component.map_err(|error| {
            let why = one_line(&error);
            ModuleError(if why.starts_with(PROCESSOR) {
                format!(
                    "it was compiled for a processor that can do more than this one ({why}): \
                     `orders-host compile --target {TARGET}` compiles for any"
                )
            } else {
                format!("it cannot be loaded: {why}")
            })
        })?;
        Ok(Module::new(engine, self.hash, self.component_size, component))
    }

    /// The whole file.
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

    /// Writes the file, in the place of one of that name, in one step: whoever opens it finds the old one or the
    /// new one, whole. If this fails nothing has changed.
    ///
    /// # Errors
    ///
    /// What the operating system says, or that there is something else than a file of that name.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        file::replace(path, &self.file)
    }
}

/// What the lines say.
struct Head<'a> {
    host: &'a str,
    wasmtime: &'a str,
    target: &'a str,
    configuration: &'a str,
    hash: ModuleHash,
    component_size: usize,
    code_size: usize,
    sha256: &'a str,
    /// The lines that the sum is made of.
    summed: &'a str,
    code_at: usize,
}

impl<'a> Head<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, String> {
        let begin = file.get(..MAX_LINES).unwrap_or(file);
        // The code is no text.
        let text = begin.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let mut lines = text.strip_prefix(MAGIC).unwrap_or_default().lines();
        let format = value(&mut lines, "format")?;
        if format != FORMAT {
            return Err(format!("its format is {format}, and this host knows format {FORMAT} only: {ANEW}"));
        }
        let host = value(&mut lines, "host")?;
        let wasmtime = value(&mut lines, "wasmtime")?;
        let target = value(&mut lines, "target")?;
        let configuration = value(&mut lines, "configuration")?;
        let component = value(&mut lines, "component")?.split_once(' ');
        let (hash, component_size) = component.ok_or_else(|| unreadable("component"))?;
        let code_size = value(&mut lines, "code")?;
        let sha256 = value(&mut lines, "sha256")?;
        let (summed, _) = text.split_once("sha256 ").ok_or_else(|| unreadable("sha256"))?;
        let (whole, _) = text.split_once("\n\n").ok_or_else(|| unreadable("sha256"))?;
        Ok(Self {
            host,
            wasmtime,
            target,
            configuration,
            hash: hash.parse().map_err(|_| unreadable("component"))?,
            component_size: component_size.parse().map_err(|_| unreadable("component"))?,
            code_size: code_size.parse().map_err(|_| unreadable("code"))?,
            sha256,
            summed,
            code_at: whole.len().saturating_add(2),
        })
    }
}

fn value<'a>(lines: &mut Lines<'a>, name: &str) -> Result<&'a str, String> {
    lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' ')).ok_or_else(|| unreadable(name))
}

fn unreadable(line: &str) -> String {
    format!("its line `{line}` is missing or cannot be read: copy it again, or {ANEW}")
}

/// The first setting that is not the same in two configurations.
fn first_difference(its: &str, ours: &str) -> String {
    let (mut its, mut ours) = (its.split(", "), ours.split(", "));
    loop {
        match (its.next(), ours.next()) {
            (Some(its), Some(ours)) if its == ours => {}
            (its, ours) => {
                return format!("`{}`, not `{}`", its.unwrap_or_default(), ours.unwrap_or_default());
            }
        }
    }
}

/// The architecture and the operating system of a target: what code depends on, apart from the processor. Linux has
/// one for all its C libraries.
fn kind_of(target: &str) -> [&str; 2] {
    let mut parts = target.split('-');
    [parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default()]
}

fn fits_machine(target: &str) -> bool {
    kind_of(target) == kind_of(TARGET)
}

fn sha256(lines: &str, code: &[u8]) -> String {
    let sum = Sha256::new().chain_update(lines).chain_update(code).finalize();
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a file is meant to be a compiled component.
pub fn is_compiled(file: &[u8]) -> bool {
    file.starts_with(MAGIC.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_code_depends_on() {
        assert_eq!(kind_of("aarch64-unknown-linux-musl"), ["aarch64", "linux"]);
        assert_eq!(kind_of("x86_64-pc-windows-msvc"), ["x86_64", "windows"]);
        for odd in ["", "x86_64", "x86_64-linux"] {
            assert!(!fits_machine(odd) && !FOREIGN.contains(&kind_of(odd)), "{odd}");
        }
        assert!(fits_machine(TARGET));
    }

    #[test]
    fn what_differs_is_named() {
        for (its, ours, says) in [
            ("a: 1, b: 2", "a: 1, b: 3", "`b: 2`, not `b: 3`"),
            ("a: 1, b: 2", "a: 1", "`b: 2`, not ``"),
            ("a: 1", "a: 1, b: 2", "``, not `b: 2`"),
        ] {
            assert_eq!(first_difference(its, ours), says);
        }
    }

    /// Whatever stands in the lines, they are read or refused.
    #[test]
    fn lines_that_cannot_be_read() {
        let hash = "0".repeat(64);
        let lines = format!(
            "{MAGIC}format 1\nhost 1\nwasmtime 2\ntarget 3\nconfiguration 4\ncomponent {hash} 5\ncode 6\nsha256 7\n\n"
        );
        let head = Head::parse(lines.as_bytes()).unwrap();
        assert_eq!((head.host, head.wasmtime, head.target, head.configuration), ("1", "2", "3", "4"));
        assert_eq!((head.component_size, head.code_size, head.sha256), (5, 6, "7"));
        assert_eq!((head.hash.to_string(), head.code_at), (hash, lines.len()));
        assert!(head.summed.ends_with("\ncode 6\n"));
        for end in 0..lines.len() {
            assert!(Head::parse(&lines.as_bytes()[..end]).is_err(), "{end} bytes");
        }
        for (was, becomes, line) in [
            ("component 0", "component x", "component"),
            (" 5\n", "\n", "component"),
            (" 5\n", " -5\n", "component"),
            ("code 6", "code six", "code"),
            ("host 1", "hose 1", "host"),
            ("target 3\n", "", "target"),
            ("sha256 7\n\n", "sha256 7\n", "sha256"),
        ] {
            let error = Head::parse(lines.replacen(was, becomes, 1).as_bytes()).err().unwrap();
            assert!(error.contains(&format!("`{line}`")), "{was}: {error}");
        }
    }
}
