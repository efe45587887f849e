//! The thread that reads a file or standard input.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Seek},
    path::Path,
    sync::Arc,
    thread,
};

use tokio::sync::mpsc;

use super::{
    checksum::Total,
    decoder::{Decoder, Item},
    endpoints::is_standard_stream,
    progress::Progress,
};
use crate::{
    lifecycle::blocking::refused,
    store::{Key, Value},
};

/// Capacity of the channel, in batches: one waits while the next is read.
const CHANNEL_CAPACITY: usize = 1;
/// Maximum number of entries in a batch, which is what one commit writes.
pub(super) const BATCH_ENTRIES: usize = 128;
/// A batch ends with the entry that reaches this many bytes.
pub(super) const BATCH_BYTES: usize = 1 << 20;
/// How often a check reports its progress, in entries.
const PROGRESS_INTERVAL: u64 = 1000;
/// Size of the read buffer, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// A message from the thread.
pub(super) enum Input {
    /// The first line was read, with the number of entries if it has one. All other lines have been checked if the input can
    /// be read twice.
    Start(Option<u64>),
    Entries(Vec<(Key, Value)>),
    End(Total),
    /// The reason on one line, without the name of the input.
    Failed(String),
}

/// The thread, seen from the import.
pub(super) struct ReaderThread(mpsc::Receiver<Input>);

impl ReaderThread {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// One line.
    pub(super) fn start(path: &Path, progress: Arc<Progress>) -> Result<Self, String> {
        let (send, received) = mpsc::channel(CHANNEL_CAPACITY);
        let thread = thread::Builder::new().name("state-reader".into());
        let started = if is_standard_stream(path) {
            thread.spawn(move || read_once(&send, BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock())))
        } else {
            let unreadable = |error: io::Error| format!("cannot read {path:?}: {error}");
            let file = File::open(path).map_err(unreadable)?;
            let metadata = fs::metadata(path).map_err(unreadable)?;
            if metadata.is_dir() {
                return Err(format!("cannot read {path:?}: it is a directory"));
            }
            let rewindable = metadata.is_file();
            thread.spawn(move || {
                if rewindable {
                    read_twice(&send, &file, &progress);
                } else {
                    read_once(&send, buffered(&file));
                }
            })
        };
        started.map(|_| Self(received)).map_err(|error| format!("cannot start a thread: {}", refused(&error)))
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Input {
        self.0.recv().await.unwrap_or_else(|| Input::Failed("the thread that reads it has ended".to_owned()))
    }
}

fn buffered(file: &File) -> BufReader<&File> {
    BufReader::with_capacity(BUFFER_BYTES, file)
}

fn read_once(send: &mpsc::Sender<Input>, input: impl BufRead) {
    send_entries(send, send_start(send, input));
}

/// Checks the whole file before anything is sent.
fn read_twice(send: &mpsc::Sender<Input>, file: &File, progress: &Progress) {
    let checked = check(file, progress).and_then(|()| {
        let mut file = file;
        file.rewind().map_err(|error| error.to_string())
    });
    send_entries(send, checked.and_then(|()| send_start(send, buffered(file))));
}

fn send_start<R: BufRead>(send: &mpsc::Sender<Input>, input: R) -> Result<Decoder<R>, String> {
    let decoder = Decoder::new(input)?;
    // If the import has ended, sending the first batch will fail.
    let _ = send.blocking_send(Input::Start(decoder.head().entries));
    Ok(decoder)
}

fn check(file: &File, progress: &Progress) -> Result<(), String> {
    let mut decoder = Decoder::new(buffered(file))?;
    progress.begin("checking the input:", decoder.head().entries);
    let mut done = 0_u64;
    while let Item::Entry(..) = decoder.next()? {
        done = done.saturating_add(1);
        if done.is_multiple_of(PROGRESS_INTERVAL) {
            progress.set(done);
        }
    }
    Ok(())
}

/// Sends all entries in batches, and then the end or the failure. Stops if the import has ended.
fn send_entries<R: BufRead>(send: &mpsc::Sender<Input>, decoder: Result<Decoder<R>, String>) {
    let result = decoder.and_then(|mut decoder| {
        let mut batch = Vec::new();
        let mut bytes = 0;
        loop {
            let item = decoder.next();
            let full = batch.len() >= BATCH_ENTRIES || bytes >= BATCH_BYTES;
            if (full || !matches!(item, Ok(Item::Entry(..)))) && !batch.is_empty() {
                bytes = 0;
                if send.blocking_send(Input::Entries(std::mem::take(&mut batch))).is_err() {
                    return Err("the import has ended".to_owned());
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
    // This fails if the import has ended; then it needs no result.
    let _ = send.blocking_send(result.map_or_else(Input::Failed, Input::End));
}
