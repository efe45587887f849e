//! The thread that reads a file, or standard input.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Seek},
    path::Path,
    sync::Arc,
    thread,
};

use tokio::sync::mpsc;

use super::{
    endpoints::is_standard,
    format::{Item, Reader, Total},
    progress::Progress,
};
use crate::store::{Key, Value};

/// Batches that wait to be taken: one, while the next is read.
const WAITING: usize = 1;
/// What a batch has at most, but for the last entry's bytes: what one commit writes.
pub(super) const BATCH_ENTRIES: usize = 128;
pub(super) const BATCH_BYTES: usize = 1 << 20;
/// How often the progress of a check is told, in entries.
const TOLD: u64 = 1000;
/// What is read at once, in bytes.
const BUFFER: usize = 256 << 10;

/// What comes out of a file.
pub(super) enum Read {
    /// Its first line was read, and all others checked if that was possible.
    Begun(Option<u64>),
    Entries(Vec<(Key, Value)>),
    End(Total),
    /// One line, without the name of the file.
    Failed(String),
}

/// What comes out of a file, from the thread that reads it.
pub(super) struct Reading(mpsc::Receiver<Read>);

impl Reading {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// One line.
    pub(super) fn start(path: &Path, progress: Arc<Progress>) -> Result<Self, String> {
        let (send, received) = mpsc::channel(WAITING);
        let name = thread::Builder::new().name("state-reader".into());
        let started = if is_standard(path) {
            name.spawn(move || once(&send, BufReader::with_capacity(BUFFER, io::stdin().lock())))
        } else {
            let cannot = |error: io::Error| format!("cannot read {path:?}: {error}");
            let file = File::open(path).map_err(cannot)?;
            let kind = fs::metadata(path).map_err(cannot)?;
            if kind.is_dir() {
                return Err(format!("cannot read {path:?}: it is a directory"));
            }
            let again = kind.is_file();
            name.spawn(
                move || if again { twice(&send, &file, &progress) } else { once(&send, buffered(&file)) },
            )
        };
        started.map(|_| Self(received)).map_err(|error| format!("cannot start a thread: {error}"))
    }

    /// What comes next.
    pub(super) async fn next(&mut self) -> Read {
        self.0.recv().await.unwrap_or_else(|| Read::Failed("its thread ended".to_owned()))
    }
}

fn buffered(file: &File) -> BufReader<&File> {
    BufReader::with_capacity(BUFFER, file)
}

fn once(send: &mpsc::Sender<Read>, input: impl BufRead) {
    hand_on(send, begin(send, input));
}

/// Checks all of it before anything is handed on.
fn twice(send: &mpsc::Sender<Read>, file: &File, progress: &Progress) {
    let checked = check(file, progress).and_then(|()| {
        let mut file = file;
        file.rewind().map_err(|error| error.to_string())
    });
    hand_on(send, checked.and_then(|()| begin(send, buffered(file))));
}

fn begin<R: BufRead>(send: &mpsc::Sender<Read>, input: R) -> Result<Reader<R>, String> {
    let reader = Reader::new(input)?;
    // If nobody listens any more, the next one to be sent finds out.
    let _ = send.blocking_send(Read::Begun(reader.head().entries));
    Ok(reader)
}

fn check(file: &File, progress: &Progress) -> Result<(), String> {
    let mut reader = Reader::new(buffered(file))?;
    progress.begin("checking the input:", reader.head().entries);
    let mut done = 0_u64;
    while let Item::Entry(..) = reader.next()? {
        done = done.saturating_add(1);
        if done.is_multiple_of(TOLD) {
            progress.at(done);
        }
    }
    Ok(())
}

/// Hands on whatever is in it, until nobody listens any more.
fn hand_on<R: BufRead>(send: &mpsc::Sender<Read>, reader: Result<Reader<R>, String>) {
    let ended = reader.and_then(|mut reader| {
        let mut batch = Vec::new();
        let mut bytes = 0;
        loop {
            let item = reader.next();
            let full = batch.len() >= BATCH_ENTRIES || bytes >= BATCH_BYTES;
            if (full || !matches!(item, Ok(Item::Entry(..)))) && !batch.is_empty() {
                bytes = 0;
                if send.blocking_send(Read::Entries(std::mem::take(&mut batch))).is_err() {
                    return Err("nobody wants it".to_owned());
                }
            }
            match item? {
                Item::Entry(key, value) => {
                    bytes += key.as_str().len() + value.as_bytes().len();
                    batch.push((key, value));
                }
                Item::End(total) => return Ok(total),
            }
        }
    });
    // If nobody listens, nobody has to know.
    let _ = send.blocking_send(ended.map_or_else(Read::Failed, Read::End));
}
