//! The options of `orders-host state`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::store::StoreConfig;

/// The commands of `state`.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Write all that a store holds as JSON lines
    ///
    /// It is one snapshot: the state as it was when the command began, whole, however long it takes and whatever is
    /// written meanwhile. The service may go on serving. Until the end SQLite's log grows by what is written, and
    /// PostgreSQL keeps what is replaced; a snapshot from which nothing is read for 10 minutes is ended by PostgreSQL. Of
    /// PostgreSQL one connection is used besides --store-connections.
    ///
    /// The first line says what the file is. Then there is a line for each entry, in the order of the keys' bytes:
    /// {"key":…,"value":…} if the value is UTF-8, else {"key":…,"base64":…}. The last line has their number and the SHA-256
    /// over all keys and values, which is the same for the same state in any kind of store. Revisions are not written: they
    /// are each store's own.
    ///
    /// A file is written under the name FILE.partial, for its owner alone, and takes the place of FILE once it is whole and
    /// on the disk. What was interrupted cannot be gone on with, for the snapshot is gone: run the command again.
    ///
    /// Exit code: 0 if everything was written, 1 if not, 2 if it could not be begun.
    Export(ExportConfig),
    /// Put what `state export` has written into a store
    ///
    /// The store has to be empty, or to hold exactly the beginning of the input: then an import was interrupted, and it is
    /// gone on with after what is there. With --merge it may hold anything. Entries are written in the order of the input,
    /// many at a time, and get new revisions. Nobody else may write into the store meanwhile, above all no service: an
    /// import that meets a key that was not there before stops.
    ///
    /// A file is read twice: a damaged one is found before anything is written. Standard input (or a pipe) can be read only
    /// once. If it is damaged, or its last line is missing, the store is left with what was written until then, and the
    /// command says so: remove that store, or, if the input had only ended too early, run the command again with all of it.
    ///
    /// At the end the whole store is read again, and its number of entries and its checksum are compared with the last line
    /// of the input. With --merge only the input is checked like this, for the store holds other entries too.
    ///
    /// Exit code: 0 if all entries are in the store and verified; 1 if not, and the store may hold a part of them: do not
    /// serve from it; 2 if it could not be begun, and nothing was written.
    Import(ImportConfig),
}

/// The options of `state export`.
#[derive(Clone, Debug, Args)]
pub struct ExportConfig {
    /// Where the state is.
    #[command(flatten)]
    pub store: StoreConfig,

    /// The file to write; `-` writes to standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
}

/// The options of `state import`.
#[derive(Clone, Debug, Args)]
pub struct ImportConfig {
    /// Where the state goes to.
    #[command(flatten)]
    pub store: StoreConfig,

    /// The file to read; `-` reads standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub input: PathBuf,

    /// Import into a store that is not empty. Its other entries stay; of a key that is there with another value, this says
    /// which value it has then
    #[arg(long, value_name = "WHICH")]
    pub merge: Option<Merge>,
}

/// What becomes of a key that both the store and the input have, with different values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Merge {
    /// The store's
    Keep,
    /// The input's
    Replace,
}
