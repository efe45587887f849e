//! The header of a compiled component's file: text lines that say what the code was compiled from, by and for.
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
//! An empty line ends the header; the code follows.

use std::str::Lines;

use sha2::{Digest, Sha256};

use crate::{
    module::{component::one_line, hash::ModuleHash, target::fits_machine},
    sandbox::engine::{self, TARGET, WASMTIME_VERSION},
};

/// The first line of a compiled component's file.
const MAGIC: &str = "orders-host compiled component\n";
/// The version of the header's layout.
const FORMAT: &str = "1";
/// The version of this program.
const HOST_VERSION: &str = env!("CARGO_PKG_VERSION");
/// Maximum number of bytes that are searched for the header, which has about two thousand.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// The remedy for most faults of a compiled component.
pub(super) const RECOMPILE_HINT: &str = "compile the component with this host's `orders-host compile`";

/// Whether a file is meant to be a compiled component.
pub(super) fn has_magic(file: &[u8]) -> bool {
    file.starts_with(MAGIC.as_bytes())
}

/// Writes the header for code that this program has just compiled, with the empty line that ends it.
pub(super) fn write(
    target: &str,
    configuration: &str,
    hash: ModuleHash,
    component_size: usize,
    code: &[u8],
) -> String {
    let lines = format!(
        "{MAGIC}format {FORMAT}\nhost {HOST_VERSION}\nwasmtime {WASMTIME_VERSION}\ntarget {target}\n\
         configuration {configuration}\ncomponent {hash} {component_size}\ncode {}\n",
        code.len(),
    );
    format!("{lines}sha256 {}\n\n", checksum(&lines, code))
}

/// A parsed header.
pub(super) struct Header<'a> {
    host: &'a str,
    wasmtime: &'a str,
    pub(super) target: &'a str,
    configuration: &'a str,
    pub(super) hash: ModuleHash,
    pub(super) component_size: usize,
    code_size: usize,
    sha256: &'a str,
    /// The lines that the checksum covers, besides the code.
    checksummed: &'a str,
    /// The offset of the code in the file.
    pub(super) code_offset: usize,
}

impl<'a> Header<'a> {
    /// Parses the header of a file.
    ///
    /// # Errors
    ///
    /// One line that names the line of the header that is missing or cannot be read.
    pub(super) fn parse(file: &'a [u8]) -> Result<Self, String> {
        let begin = file.get(..MAX_HEADER_BYTES).unwrap_or(file);
        // The code is not UTF-8.
        let text = begin.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let mut lines = text.strip_prefix(MAGIC).unwrap_or_default().lines();
        let format = value(&mut lines, "format")?;
        if format != FORMAT {
            return Err(format!(
                "its format is {format}, and this host reads format {FORMAT} only: {RECOMPILE_HINT}"
            ));
        }
        let host = value(&mut lines, "host")?;
        let wasmtime = value(&mut lines, "wasmtime")?;
        let target = value(&mut lines, "target")?;
        let configuration = value(&mut lines, "configuration")?;
        let component = value(&mut lines, "component")?.split_once(' ');
        let (hash, component_size) = component.ok_or_else(|| unreadable("component"))?;
        let code_size = value(&mut lines, "code")?;
        let sha256 = value(&mut lines, "sha256")?;
        let (checksummed, _) = text.split_once("sha256 ").ok_or_else(|| unreadable("sha256"))?;
        let (header, _) = text.split_once("\n\n").ok_or_else(|| unreadable("sha256"))?;
        Ok(Self {
            host,
            wasmtime,
            target,
            configuration,
            hash: hash.parse().map_err(|_| unreadable("component"))?,
            component_size: component_size.parse().map_err(|_| unreadable("component"))?,
            code_size: code_size.parse().map_err(|_| unreadable("code"))?,
            sha256,
            checksummed,
            code_offset: header.len().saturating_add(2),
        })
    }

    /// Checks that header and code are as they were written.
    ///
    /// # Errors
    ///
    /// One line that names the problem and its remedy.
    pub(super) fn check_intact(&self, code: &[u8]) -> Result<(), String> {
        if code.len() != self.code_size {
            return Err(format!(
                "it has {} bytes of code instead of {}: copy it again, or {RECOMPILE_HINT}",
                code.len(),
                self.code_size
            ));
        }
        if checksum(self.checksummed, code) != self.sha256 {
            return Err(format!(
                "it was changed after it was written (its SHA-256 differs): copy it again, or {RECOMPILE_HINT}"
            ));
        }
        Ok(())
    }

    /// Checks that this version of the host wrote the file, for this kind of machine and this engine configuration.
    ///
    /// # Errors
    ///
    /// One line that names the difference and its remedy.
    pub(super) fn check_compatible(&self) -> Result<(), String> {
        for (program, version, own) in
            [("orders-host", self.host, HOST_VERSION), ("wasmtime", self.wasmtime, WASMTIME_VERSION)]
        {
            if version != own {
                return Err(format!(
                    "it was compiled by {program} {version}, and this is {program} {own}: {RECOMPILE_HINT}"
                ));
            }
        }
        if !fits_machine(self.target) {
            let target = self.target;
            return Err(format!("it was compiled for {target}, and this is {TARGET}: {RECOMPILE_HINT}"));
        }
        let own = engine::configuration(None).map_err(|error| one_line(&error))?;
        if self.configuration != own {
            let difference = first_difference(self.configuration, &own);
            return Err(format!(
                "it was compiled with another engine configuration ({difference}): {RECOMPILE_HINT}"
            ));
        }
        Ok(())
    }
}

fn value<'a>(lines: &mut Lines<'a>, name: &str) -> Result<&'a str, String> {
    lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' ')).ok_or_else(|| unreadable(name))
}

fn unreadable(line: &str) -> String {
    format!("its line `{line}` is missing or cannot be read: copy it again, or {RECOMPILE_HINT}")
}

/// The first setting that differs between a file's configuration and this host's own.
fn first_difference(configuration: &str, own: &str) -> String {
    let (mut settings, mut own) = (configuration.split(", "), own.split(", "));
    loop {
        match (settings.next(), own.next()) {
            (Some(setting), Some(own)) if setting == own => {}
            (setting, own) => {
                return format!("`{}`, not `{}`", setting.unwrap_or_default(), own.unwrap_or_default());
            }
        }
    }
}

fn checksum(lines: &str, code: &[u8]) -> String {
    let sum = Sha256::new().chain_update(lines).chain_update(code).finalize();
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_setting_that_differs_is_named() {
        for (configuration, own, expected) in [
            ("a: 1, b: 2", "a: 1, b: 3", "`b: 2`, not `b: 3`"),
            ("a: 1, b: 2", "a: 1", "`b: 2`, not ``"),
            ("a: 1", "a: 1, b: 2", "``, not `b: 2`"),
        ] {
            assert_eq!(first_difference(configuration, own), expected);
        }
    }

    #[test]
    fn a_header_is_parsed_or_rejected_with_the_faulty_line() {
        let hash = "0".repeat(64);
        let lines = format!(
            "{MAGIC}format 1\nhost 1\nwasmtime 2\ntarget 3\nconfiguration 4\ncomponent {hash} 5\ncode 6\nsha256 7\n\n"
        );
        let header = Header::parse(lines.as_bytes()).unwrap();
        assert_eq!((header.host, header.wasmtime, header.target, header.configuration), ("1", "2", "3", "4"));
        assert_eq!((header.component_size, header.code_size, header.sha256), (5, 6, "7"));
        assert_eq!((header.hash.to_string(), header.code_offset), (hash, lines.len()));
        assert!(header.checksummed.ends_with("\ncode 6\n"));
        for end in 0..lines.len() {
            assert!(Header::parse(&lines.as_bytes()[..end]).is_err(), "{end} bytes");
        }
        for (from, to, line) in [
            ("component 0", "component x", "component"),
            (" 5\n", "\n", "component"),
            (" 5\n", " -5\n", "component"),
            ("code 6", "code six", "code"),
            ("host 1", "hose 1", "host"),
            ("target 3\n", "", "target"),
            ("sha256 7\n\n", "sha256 7\n", "sha256"),
        ] {
            let error = Header::parse(lines.replacen(from, to, 1).as_bytes()).err().unwrap();
            assert!(error.contains(&format!("`{line}`")), "{from}: {error}");
        }
    }
}
