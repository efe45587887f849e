//! [`Storage`] in a folder: a file for each blob.

use orders_adapter::storage::Storage;

use crate::bindings::wasi::{
    clocks::{monotonic_clock::subscribe_duration, wall_clock},
    filesystem::{
        preopens::get_directories,
        types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags},
    },
    random::random::get_random_u64,
};

/// Most bytes asked for or handed over at once.
const CHUNK: usize = 256 * 1024;
/// How often the folder is listed anew.
const LISTINGS: u32 = 16;
/// Nanoseconds that the first attempt waits for; each one waits for one more of these.
const PAUSE: u64 = 500_000;
/// Seconds after which a file that waits to be linked has no writer any more: it waits for as long as one write takes.
const STALE: u64 = 60 * 60;

/// The first folder that is granted.
pub(crate) struct Folder;

impl Storage for Folder {
    fn list(&self) -> Result<Vec<String>, String> {
        let folder = folder()?;
        let mut attempts = 0..LISTINGS;
        loop {
            match names(&folder) {
                Ok(names) => return Ok(names),
                // A host that looks at each file may find one gone that it has just seen.
                Err(ErrorCode::NoEntry) if attempts.next().is_some() => {}
                Err(error) => return Err(failed("the folder", error)),
            }
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let file = folder()?.open_at(PathFlags::empty(), name, OpenFlags::empty(), DescriptorFlags::READ);
        let file = match file {
            Ok(file) => file,
            Err(ErrorCode::NoEntry) => return Ok(None),
            Err(error) => return Err(failed(name, error)),
        };
        let mut blob = Vec::new();
        loop {
            let (chunk, ended) =
                file.read(length(CHUNK), length(blob.len())).map_err(|error| failed(name, error))?;
            let nothing = chunk.is_empty();
            blob.extend(chunk);
            if ended || nothing {
                return Ok(Some(blob));
            }
        }
    }

    fn create(&self, name: &str, blob: &[u8]) -> Result<bool, String> {
        let folder = folder()?;
        let temporary = temporary(get_random_u64());
        let written = write(&folder, &temporary, blob)
            .and_then(|()| folder.link_at(PathFlags::empty(), &temporary, &folder, name));
        // What is left behind is in nobody's way, and goes when it is stale.
        let _ = folder.unlink_file_at(&temporary);
        match written {
            // The name itself must be on the disk too.
            Ok(()) => folder.sync().map(|()| true).map_err(|error| failed("the folder", error)),
            Err(ErrorCode::Exist) => Ok(false),
            Err(error) => Err(failed(name, error)),
        }
    }

    fn delete(&self, name: &str) -> Result<(), String> {
        match folder()?.unlink_file_at(name) {
            Ok(()) | Err(ErrorCode::NoEntry) => Ok(()),
            Err(error) => Err(failed(name, error)),
        }
    }

    fn pause(&self, attempt: u32) {
        subscribe_duration(PAUSE * (u64::from(attempt) + 1)).block();
    }

    /// Removes files of writers that were killed before they could. One whose writer was only asleep for so long costs it
    /// that commit: there is nothing to link any more.
    fn tidy(&self) {
        let Ok(folder) = folder() else { return };
        let now = wall_clock::now().seconds;
        for name in names(&folder).unwrap_or_default().iter().filter(|name| is_temporary(name)) {
            let written = folder.stat_at(PathFlags::empty(), name).ok();
            let written = written.and_then(|stat| stat.data_modification_timestamp);
            if written.is_some_and(|written| now.saturating_sub(written.seconds) > STALE) {
                let _ = folder.unlink_file_at(name);
            }
        }
    }
}

/// The name of a file that waits to be linked.
fn temporary(number: u64) -> String {
    format!("t{number:016x}.tmp")
}

/// Whether a file has such a name.
fn is_temporary(name: &str) -> bool {
    let number = name.strip_prefix('t').and_then(|rest| rest.strip_suffix(".tmp"));
    let number = number.and_then(|number| u64::from_str_radix(number, 16).ok());
    number.is_some_and(|number| temporary(number) == name)
}

fn folder() -> Result<Descriptor, String> {
    let first = get_directories().into_iter().next();
    first.map(|(folder, _)| folder).ok_or_else(|| "the host grants no folder".to_owned())
}

fn names(folder: &Descriptor) -> Result<Vec<String>, ErrorCode> {
    let entries = folder.read_directory()?;
    let mut names = Vec::new();
    while let Some(entry) = entries.read_directory_entry()? {
        names.push(entry.name);
    }
    Ok(names)
}

/// Writes a file that is not there yet, to the disk.
fn write(folder: &Descriptor, name: &str, blob: &[u8]) -> Result<(), ErrorCode> {
    let new = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let file = folder.open_at(PathFlags::empty(), name, new, DescriptorFlags::WRITE)?;
    let mut written = 0;
    while let Some(rest) = blob.get(written..).filter(|rest| !rest.is_empty()) {
        let chunk = rest.get(..CHUNK).unwrap_or(rest);
        let count = file.write(chunk, length(written))?;
        written += usize::try_from(count).map_err(|_| ErrorCode::Overflow)?;
    }
    file.sync()
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn failed(what: &str, error: ErrorCode) -> String {
    format!("{what}: {}", error.name())
}
