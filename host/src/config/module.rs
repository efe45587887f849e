//! The options of `orders-host module`, and those of the folder that modules are kept in.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The commands of `module`.
#[derive(Debug, Subcommand)]
pub enum ModuleCommand {
    /// Make a pair of keys: a secret one to sign with, and a public one to trust
    ///
    /// Both are small text files. A file of trusted keys has one public key a line, so that such files are put
    /// together with `cat`; what follows a `#` is a comment. Only its owner may read the secret key. Nothing that is
    /// there is overwritten.
    ///
    /// Exit code: 0 if both were written, 1 if not; then neither was.
    Keygen(KeygenConfig),
    /// Sign a component
    ///
    /// The signature is a section of the file, which remains a component that any host runs; one that was there is
    /// replaced. It covers every byte, and the same key always gives the same file. The file is replaced in one step,
    /// or stays as it is.
    ///
    /// Exit code: 0 if it was written, 1 if it cannot be written, 2 if the component or the key cannot be read.
    Sign(SignConfig),
    /// Check that a component is signed by a trusted key, and show by which
    ///
    /// Exit code: 0 if it is, 1 if it is not, 2 if the component or the keys cannot be read.
    Verify(VerifyConfig),
}

/// The options of `module keygen`.
#[derive(Clone, Debug, Args)]
pub struct KeygenConfig {
    /// The file to write the secret key to; it must not be there yet
    #[arg(long, value_name = "FILE")]
    pub secret: PathBuf,

    /// The file to write the public key to; it must not be there yet
    #[arg(long, value_name = "FILE")]
    pub public: PathBuf,
}

/// The options of `module sign`.
#[derive(Clone, Debug, Args)]
pub struct SignConfig {
    /// The component to sign
    #[arg(value_name = "FILE")]
    pub component: PathBuf,

    /// The file of the secret key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,

    /// The file to write; without it, the component itself is replaced
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The options of `module verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyConfig {
    /// The component to check
    #[arg(value_name = "FILE")]
    pub component: PathBuf,

    /// The file of the public keys, one a line
    #[arg(long, env = "ORDERS_TRUSTED_KEYS", value_name = "FILE")]
    pub trusted_keys: PathBuf,
}

/// Where modules outlive the process.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Modules")]
pub struct ModuleDirConfig {
    /// The folder that keeps pushed modules, and which one serves; made if missing, nobody else may write to it; without
    /// it, pushed modules last until the process ends
    #[arg(long, env = "ORDERS_MODULE_DIR", value_name = "DIR")]
    pub module_dir: Option<PathBuf>,

    /// How many modules that folder keeps: the newest, and those in use in any case
    #[arg(long, env = "ORDERS_KEEP_MODULES", value_name = "COUNT", default_value = "5",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub keep_modules: u16,
}
