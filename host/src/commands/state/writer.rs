//! The thread that writes a file or standard output.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    checksum::{Checksum, Total},
    endpoints::is_standard_stream,
    format::{Head, write_end, write_entry, write_head},
};
use crate::{
    module::file::PRIVATE_MODE,
    store::{Entry, Key, Value},
};

/// Capacity of the channel, in pages: one waits while the next is read.
const CHANNEL_CAPACITY: usize = 1;
/// Size of the write buffer, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// Where a state is written to.
pub(super) enum Output {
    Standard,
    File(PartialFile),
}

impl Output {
    /// Opens the output. A file is created under a temporary name.
    ///
    /// # Errors
    ///
    /// One line.
    pub(super) fn create(path: &Path) -> Result<Self, String> {
        if is_standard_stream(path) {
            return Ok(Self::Standard);
        }
        PartialFile::create(path).map(Self::File).map_err(|error| format!("cannot write {path:?}: {error}"))
    }
}

/// A file that replaces its target once it is complete, and is removed otherwise. A partial file that a killed process left
/// behind is overwritten by the next export.
pub(super) struct PartialFile {
    target: PathBuf,
    partial: PathBuf,
    /// Locked, so that two exports cannot write to the same file.
    file: File,
}

impl PartialFile {
    fn create(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
            return Err(io::Error::other("it is not a regular file"));
        }
        let name = path.file_name().ok_or_else(|| io::Error::other("the path has no file name"))?;
        let mut partial = OsString::from(name);
        partial.push(".partial");
        let partial = path.with_file_name(partial);
        let busy = || io::Error::other(format!("another process writes {partial:?}"));
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE_MODE).open(&partial)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => busy(),
            TryLockError::Error(error) => error,
        })?;
        // The previous holder of the lock may have renamed or removed the file before this process locked it.
        let (opened, named) = (file.metadata()?, fs::metadata(&partial).map_err(|_| busy())?);
        if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
            return Err(busy());
        }
        file.set_len(0)?;
        Ok(Self { target: path.to_owned(), partial, file })
    }

    /// Replaces the target with this file, durably.
    fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.partial, &self.target)?;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        // After `finish`, this name no longer exists.
        let _ = fs::remove_file(&self.partial);
    }
}

/// The thread, seen from the export.
pub(super) struct WriterThread {
    pages: mpsc::Sender<Page>,
    result: oneshot::Receiver<Result<Total, String>>,
}

enum Page {
    Entries(Vec<Entry>),
    End,
}

impl WriterThread {
    /// Starts the thread.
    pub(super) fn start(output: Output, head: Head) -> io::Result<Self> {
        let (pages, received) = mpsc::channel(CHANNEL_CAPACITY);
        let (send_result, result) = oneshot::channel();
        thread::Builder::new().name("state-writer".into()).spawn(move || {
            // An interrupted export does not wait for the result.
            let _ = send_result.send(run(output, &head, received).map_err(|error| error.to_string()));
        })?;
        Ok(Self { pages, result })
    }

    /// Queues a page; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// If the thread has ended: [`Self::finish`] returns the reason.
    pub(super) async fn write(&self, entries: Vec<Entry>) -> Result<(), WriterEnded> {
        self.pages.send(Page::Entries(entries)).await.map_err(|_| WriterEnded)
    }

    /// Writes the end, and waits until the output is complete and in place.
    ///
    /// # Errors
    ///
    /// One line.
    pub(super) async fn finish(self) -> Result<Total, String> {
        // If the thread has already ended, its result is the reason.
        let _ = self.pages.send(Page::End).await;
        self.result.await.unwrap_or_else(|_| Err("the thread that writes it has ended".to_owned()))
    }

    /// Stops writing, and waits until the partial file has been removed.
    pub(super) async fn abandon(self) {
        drop(self.pages);
        let _ = self.result.await;
    }
}

/// The thread ended early.
pub(super) struct WriterEnded;

fn run(output: Output, head: &Head, mut pages: mpsc::Receiver<Page>) -> io::Result<Total> {
    match output {
        Output::Standard => write(io::stdout().lock(), head, &mut pages),
        Output::File(partial) => {
            let total = write(&partial.file, head, &mut pages)?;
            partial.finish()?;
            Ok(total)
        }
    }
}

fn write(output: impl Write, head: &Head, pages: &mut mpsc::Receiver<Page>) -> io::Result<Total> {
    let mut output = BufWriter::with_capacity(BUFFER_BYTES, output);
    let mut checksum = Checksum::default();
    write_head(&mut output, head)?;
    loop {
        match pages.blocking_recv() {
            Some(Page::Entries(entries)) => {
                for Entry { key, stored } in entries {
                    let (key, value): (Key, Value) = (key, stored.value);
                    checksum.add(&key, &value);
                    write_entry(&mut output, key, value)?;
                }
            }
            Some(Page::End) => {
                let total = checksum.total();
                write_end(&mut output, &total)?;
                output.flush()?;
                return Ok(total);
            }
            None => return Err(io::Error::other("the export was abandoned")),
        }
    }
}
