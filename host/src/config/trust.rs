//! The options that say which components are accepted.

use std::path::{Path, PathBuf};

use clap::Args;

/// Where a component has to come from.
#[derive(Clone, Debug, Args)]
pub struct TrustConfig {
    /// Accept components compiled ahead of time by `orders-host compile`. They are native code and run outside the
    /// sandbox: trust such a file as you trust this program
    #[arg(long, env = "ORDERS_TRUST_COMPILED")]
    pub trust_compiled: bool,

    /// Accept only components signed by one of the public keys in this file, one key per line (see `module sign`). Without
    /// it, no signature is required
    #[arg(long, env = "ORDERS_TRUSTED_KEYS", value_name = "FILE")]
    pub trusted_keys: Option<PathBuf>,
}

/// Which files are accepted.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Any component: it runs in the sandbox.
    Components,
    /// Any component, and any that was compiled ahead of time.
    Compiled(Trusted),
    /// Components that are signed by one of the keys in this file.
    Signed(&'a Path),
}

/// Proof that compiled code comes from a place where no other user can write. Loading native code requires one.
///
/// It exists only if the operator has said so ([`TrustConfig::trust`]) or the host has compiled the code itself
/// ([`Trusted::compiled_by_ourselves`]).
#[derive(Clone, Copy, Debug)]
pub struct Trusted(());

impl Trusted {
    /// For code that this program has compiled in a process it started itself, and has received through a pipe or from a
    /// folder where no other user can write.
    pub fn compiled_by_ourselves() -> Self {
        Self(())
    }
}

impl TrustConfig {
    /// Which files are accepted.
    ///
    /// # Errors
    ///
    /// One line, if the options exclude each other.
    pub fn trust(&self) -> Result<Trust<'_>, String> {
        match (self.trust_compiled, &self.trusted_keys) {
            (false, None) => Ok(Trust::Components),
            (true, None) => Ok(Trust::Compiled(Trusted(()))),
            (false, Some(keys)) => Ok(Trust::Signed(keys)),
            (true, Some(_)) => {
                Err("--trusted-keys requires a signature, which native code cannot have, and \
                 --trust-compiled accepts native code: give only one of them"
                    .to_owned())
            }
        }
    }
}
