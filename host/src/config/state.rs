//! The options of `orders-host state`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::store::StoreConfig;

/// The commands of `state`.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Write all entries of a store as JSON lines
    ///
    /// The export is one snapshot: the complete state at the moment the command began, however long the export takes and
    /// whatever is written meanwhile. The service may keep serving. Until the export ends, SQLite's log grows with every
    /// write, and PostgreSQL keeps replaced rows. PostgreSQL ends a snapshot from which nothing is read for 10 minutes. The
    /// export uses one PostgreSQL connection in addition to --store-connections.
    ///
    /// The first line identifies the format. One line for each entry follows, in the byte order of the keys:
    /// {"key":…,"value":…} if the value is UTF-8, otherwise {"key":…,"base64":…}. The last line has the number of entries
    /// and the SHA-256 of all keys and values, which is the same for the same state in any kind of store. Revisions are not
    /// exported: each store numbers its own commits.
    ///
    /// The output is first written to FILE.partial, readable by its owner only, and replaces FILE once it is complete and on
    /// disk. An interrupted export cannot be resumed, because its snapshot is gone: run the command again.
    ///
    /// Exit code: 0 if everything was written, 1 if not, 2 if the export could not start.
    Export(ExportConfig),
    /// Import the output of `state export` into a store
    ///
    /// The store must be empty, or hold exactly the beginning of the input: then the import resumes an interrupted one. With
    /// --merge it may hold anything. Entries are written in the order of the input, many per commit, and get new revisions.
    /// Nothing else may write to the store meanwhile, above all no service: the import stops if it finds a key that was not
    /// there before.
    ///
    /// A file is read twice, so that damage is found before anything is written. Standard input (or a pipe) can be read only
    /// once. If it is damaged or its last line is missing, the store keeps what was written until then, and the command says
    /// so: remove the store, or, if the input only ended too early, run the command again with the complete input.
    ///
    /// At the end the whole store is read again, and its number of entries and its checksum are compared with the last line
    /// of the input. With --merge only the input is verified this way, because the store holds other entries too.
    ///
    /// Exit code: 0 if all entries are in the store and verified; 1 if not, and the store may hold a part of them: do not
    /// serve from it; 2 if the import could not start and nothing was written.
    Import(ImportConfig),
    /// Check that a SQLite file and its log are whole
    ///
    /// The same check as at the start of a service whose store was not closed, but for files of any size. Neither file is changed,
    /// and a service may keep using them. Until the check ends, the log grows with every write.
    ///
    /// It finds damage, and a backup beside the log of another file. It cannot tell whether a whole file is the right one.
    ///
    /// Exit code: 0 if they are whole; 1 if not, with one line for each finding; 2 if the check could not run.
    Check(CheckConfig),
}

/// The options of `state check`.
#[derive(Clone, Debug, Args)]
pub struct CheckConfig {
    /// The file of the store, such as orders.db
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// The options of `state export`.
#[derive(Clone, Debug, Args)]
pub struct ExportConfig {
    /// The store to export.
    #[command(flatten)]
    pub store: StoreConfig,

    /// File to write; `-` writes to standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
}

/// The options of `state import`.
#[derive(Clone, Debug, Args)]
pub struct ImportConfig {
    /// The store to import into.
    #[command(flatten)]
    pub store: StoreConfig,

    /// File to read; `-` reads standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub input: PathBuf,

    /// Import into a store that is not empty, whose other entries stay. For a key that has another value in the store, this
    /// says which value to keep
    #[arg(long, value_name = "WHICH")]
    pub merge: Option<Merge>,
}

/// Which value a key gets if the store and the input have different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Merge {
    /// The value of the store
    Keep,
    /// The value of the input
    Replace,
}
