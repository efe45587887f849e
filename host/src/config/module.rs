//! The commands of `orders-host module`, and the options of those that work on files.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::module_client::{ActivateConfig, ListConfig, PushConfig, RollbackConfig, StatusConfig};

/// The commands of `module`.
#[derive(Debug, Subcommand)]
pub enum ModuleCommand {
    /// Roll out a component on a running service, and wait for the outcome
    ///
    /// The service compiles and tries the component, sends it the smoke requests, gives it a share of the requests and
    /// compares it with the serving module. If it is no worse, it is promoted. Then it is watched beside the module before
    /// it, which keeps a small share of the requests. If it is worse at any time, it is rolled back automatically, and the
    /// numbers are the reason given. A rollout that fails leaves the serving module as it was. Each step is shown as it
    /// happens; on a terminal, the numbers of both modules are updated live.
    ///
    /// If this command is interrupted, the service continues the rollout: `module status --watch` shows it again, and
    /// `module rollback` ends it.
    ///
    /// Exit code: 0 if the component serves, 1 if it was refused or rolled back or another rollout is in progress, 2 if the
    /// service could not be reached or the outcome is unknown. A component for which there were too few requests for a
    /// verdict, and which serves nevertheless, is a warning.
    Push(PushConfig),
    /// Roll out a module that the service has kept in its --module-dir, as if it were pushed
    ///
    /// `module list` shows the modules. The service must have been started with --module-dir.
    ///
    /// Exit code: 0 if the module serves, 1 if it is not kept, was refused or rolled back, or another rollout is in
    /// progress, 2 if the service could not be reached or the outcome is unknown.
    Activate(ActivateConfig),
    /// List the modules that a running service knows: their states, since when, and why one does not serve
    ///
    /// The module that changed last comes first. Times are UTC. A reason that is wider than the terminal is truncated;
    /// `module status HASH` shows all of it.
    ///
    /// Exit code: 0 if the list was shown, 2 if the service could not be reached.
    List(ListConfig),
    /// Show the serving module, the rollout in progress and the module that a rollback restores; or one module
    ///
    /// Exit code: 0 if the status was shown, 1 if there is no such module, 2 if the service could not be reached. With
    /// --watch: 0 if the module serves at the end of its rollout, no rollout is in progress, or the command was interrupted;
    /// 1 if the module was refused or rolled back, 2 if the outcome is unknown.
    Status(StatusConfig),
    /// End the rollout in progress; or, if there is none, restore the previous module
    ///
    /// A module that is being prepared or on trial is withdrawn. One that is watched is replaced by the module before it, at
    /// once. The command returns once the change would survive a restart.
    ///
    /// Exit code: 0 if a module was rolled back, 1 if there is no module to roll back to or a restart would undo it, 2 if the
    /// service could not be reached.
    Rollback(RollbackConfig),
    /// Create a key pair: a secret key to sign with, and a public key to trust
    ///
    /// Both keys are small text files. A file of trusted keys has one public key per line, so such files can be joined with
    /// `cat`; a `#` starts a comment. Only its owner can read the secret key. Existing files are never overwritten.
    ///
    /// Exit code: 0 if both files were written, 1 if not; then neither was.
    Keygen(KeygenConfig),
    /// Sign a component
    ///
    /// The signature is a section of the file, which remains a component that any host can run; an existing signature is
    /// replaced. It covers every byte, and the same key always produces the same file. The file is replaced in one step, or
    /// stays unchanged.
    ///
    /// Exit code: 0 if the file was written, 1 if it cannot be written, 2 if the component or the key cannot be read.
    Sign(SignConfig),
    /// Check that a component is signed by a trusted key, and show which key
    ///
    /// Exit code: 0 if it is, 1 if it is not, 2 if the component or the keys cannot be read.
    Verify(VerifyConfig),
}

/// The options of `module keygen`.
#[derive(Clone, Debug, Args)]
pub struct KeygenConfig {
    /// File to write the secret key to; it must not exist
    #[arg(long, value_name = "FILE")]
    pub secret: PathBuf,

    /// File to write the public key to; it must not exist
    #[arg(long, value_name = "FILE")]
    pub public: PathBuf,
}

/// The options of `module sign`.
#[derive(Clone, Debug, Args)]
pub struct SignConfig {
    /// The component to sign
    #[arg(value_name = "FILE")]
    pub component: PathBuf,

    /// File of the secret key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,

    /// File to write. Without it, the component itself is replaced
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The options of `module verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyConfig {
    /// The component to check
    #[arg(value_name = "FILE")]
    pub component: PathBuf,

    /// File of the public keys, one per line
    #[arg(long, env = "ORDERS_TRUSTED_KEYS", value_name = "FILE")]
    pub trusted_keys: PathBuf,
}
