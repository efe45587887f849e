//! The thread that writes a file, or standard output.

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
    endpoints::is_standard,
    format::{Head, Sum, Total, write_end, write_entry, write_head},
};
use crate::{
    module::file::PRIVATE_MODE,
    store::{Entry, Key, Value},
};

/// Pages that wait to be written: one, while the next is read.
const WAITING: usize = 1;
/// What is gathered before it is written, in bytes.
const BUFFER: usize = 256 << 10;

/// Where a state is written to.
pub(super) enum Output {
    Standard,
    File(Partial),
}

impl Output {
    /// Makes the file that is written until the state is whole.
    ///
    /// # Errors
    ///
    /// One line.
    pub(super) fn create(path: &Path) -> Result<Self, String> {
        if is_standard(path) {
            return Ok(Self::Standard);
        }
        Partial::create(path).map(Self::File).map_err(|error| format!("cannot write {path:?}: {error}"))
    }
}

/// A file that takes its place once it is whole, and goes if it does not become so. What a process that was killed has left
/// is written over by the next one.
pub(super) struct Partial {
    path: PathBuf,
    partial: PathBuf,
    /// Locked, so that two exports do not write into one file.
    file: File,
}

impl Partial {
    fn create(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
            return Err(io::Error::other("it is not a regular file"));
        }
        let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
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
        // Whoever had locked it before may have put it in its place, or removed it.
        let (opened, named) = (file.metadata()?, fs::metadata(&partial).map_err(|_| busy())?);
        if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
            return Err(busy());
        }
        file.set_len(0)?;
        Ok(Self { path: path.to_owned(), partial, file })
    }

    /// Puts it in its place.
    fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.partial, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After `finish` there is none of that name.
        let _ = fs::remove_file(&self.partial);
    }
}

/// The way to the thread.
pub(super) struct Writing {
    pages: mpsc::Sender<Page>,
    ended: oneshot::Receiver<Result<Total, String>>,
}

enum Page {
    Entries(Vec<Entry>),
    End,
}

impl Writing {
    /// Starts it.
    pub(super) fn start(output: Output, head: Head) -> io::Result<Self> {
        let (pages, received) = mpsc::channel(WAITING);
        let (say_end, ended) = oneshot::channel();
        thread::Builder::new().name("state-writer".into()).spawn(move || {
            // Whoever was interrupted does not wait for it.
            let _ = say_end.send(run(output, &head, received).map_err(|error| error.to_string()));
        })?;
        Ok(Self { pages, ended })
    }

    /// Has a page written; waits while another one is.
    ///
    /// # Errors
    ///
    /// If the thread has ended: [`Self::end`] says why.
    pub(super) async fn write(&self, entries: Vec<Entry>) -> Result<(), Gone> {
        self.pages.send(Page::Entries(entries)).await.map_err(|_| Gone)
    }

    /// Has the end written, and waits until all is in its place.
    ///
    /// # Errors
    ///
    /// One line.
    pub(super) async fn end(self) -> Result<Total, String> {
        // If the thread has ended already, it says why.
        let _ = self.pages.send(Page::End).await;
        self.ended.await.unwrap_or_else(|_| Err("its thread ended".to_owned()))
    }

    /// Has nothing more written, and waits until what there is has been removed.
    pub(super) async fn give_up(self) {
        drop(self.pages);
        let _ = self.ended.await;
    }
}

/// The thread has ended before it was told to.
pub(super) struct Gone;

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
    let mut output = BufWriter::with_capacity(BUFFER, output);
    let mut sum = Sum::default();
    write_head(&mut output, head)?;
    loop {
        match pages.blocking_recv() {
            Some(Page::Entries(entries)) => {
                for Entry { key, stored } in entries {
                    let (key, value): (Key, Value) = (key, stored.value);
                    sum.add(&key, &value);
                    write_entry(&mut output, key, value)?;
                }
            }
            Some(Page::End) => {
                let total = sum.total();
                write_end(&mut output, &total)?;
                output.flush()?;
                return Ok(total);
            }
            None => return Err(io::Error::other("it was given up")),
        }
    }
}
