//! The options of `orders-host module`, and those of the folder that modules are kept in.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::operator::{ListConfig, PushConfig, RollbackConfig, StatusConfig};

/// The commands of `module`.
#[derive(Debug, Subcommand)]
pub enum ModuleCommand {
    /// Have a running service serve another component, and wait for what becomes of it
    ///
    /// The service compiles and tries it, asks it its smoke requests, gives it a share of the requests and compares it
    /// with the module that serves. If it is no worse it serves all requests; if it is, it goes back by itself, with the
    /// numbers as the reason. Whatever goes wrong leaves what serves as it was. Each step is shown as it happens, on a
    /// terminal with the numbers of both.
    ///
    /// Interrupted, it leaves the module to the service, which goes on with it; `module status --watch` shows it again,
    /// and `module rollback` takes it back.
    ///
    /// Exit code: 0 if it serves, 1 if it was refused or rolled back or another one is on trial, 2 if the service could
    /// not be asked or what became of it is not known.
    Push(PushConfig),
    /// Show all modules that a running service knows: what each is doing, since when, and why it does not serve
    ///
    /// The one that something happened to last comes first. Times are UTC. A reason that is wider than the terminal is
    /// cut short: `module status HASH` has all of it.
    ///
    /// Exit code: 0 if they were shown, 2 if the service could not be asked.
    List(ListConfig),
    /// Show what serves, what is on trial and what serves after a rollback, with their numbers; or all about one module
    ///
    /// Exit code: 0 if it was shown, 1 if there is no such module, 2 if the service could not be asked. With --watch:
    /// 0 if the module came to serve, or when interrupted, 1 if it was refused or rolled back, 2 if what became of it is
    /// not known.
    Status(StatusConfig),
    /// Take back the module that is on trial; or have the one before the one that serves serve again, at once
    ///
    /// Exit code: 0 if it was taken back, 1 if there is nothing to go back to, 2 if the service could not be asked.
    Rollback(RollbackConfig),
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
