//! [`Storage`] in a folder, with one file per blob.

use orders_adapter::storage::Storage;

use crate::bindings::wasi::{
    clocks::{monotonic_clock::subscribe_duration, wall_clock},
    filesystem::{
        preopens::get_directories,
        types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags},
    },
    random::random::get_random_u64,
};

/// Maximum bytes per read or write call.
const CHUNK_BYTES: usize = 256 * 1024;
/// Maximum number of times that a failed listing of the folder is repeated.
const MAX_RELISTINGS: u32 = 16;
/// Unit of the linear back-off, in nanoseconds: the first attempt waits for one unit, each later one for one more.
const BACK_OFF_NANOS: u64 = 500_000;
/// Age in seconds from which a temporary file counts as abandoned. A live writer needs it only for the duration of one
/// write.
const STALE_AFTER_SECS: u64 = 60 * 60;

/// The first folder that the host grants.
pub(crate) struct Folder;

impl Storage for Folder {
    fn list(&self) -> Result<Vec<String>, String> {
        let folder = granted_folder()?;
        let mut attempts = 0..MAX_RELISTINGS;
        loop {
            match file_names(&folder) {
                Ok(names) => return Ok(names),
                // A host that inspects each file can find that a file it has just listed is gone.
                Err(ErrorCode::NoEntry) if attempts.next().is_some() => {}
                Err(error) => return Err(describe("the folder", error)),
            }
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let file =
            granted_folder()?.open_at(PathFlags::empty(), name, OpenFlags::empty(), DescriptorFlags::READ);
        let file = match file {
            Ok(file) => file,
            Err(ErrorCode::NoEntry) => return Ok(None),
            Err(error) => return Err(describe(name, error)),
        };
        let mut blob = Vec::new();
        loop {
            let (chunk, end_of_file) =
                file.read(to_u64(CHUNK_BYTES), to_u64(blob.len())).map_err(|error| describe(name, error))?;
            let is_empty = chunk.is_empty();
            blob.extend(chunk);
            if end_of_file || is_empty {
                return Ok(Some(blob));
            }
        }
    }

    fn create(&self, name: &str, blob: &[u8]) -> Result<bool, String> {
        let folder = granted_folder()?;
        let temporary = temporary_name(get_random_u64());
        let linked = write_new_file(&folder, &temporary, blob)
            .and_then(|()| folder.link_at(PathFlags::empty(), &temporary, &folder, name));
        // If this fails, the file does no harm, and `clean_up` removes it once it is stale.
        let _ = folder.unlink_file_at(&temporary);
        match linked {
            // The directory entry must be durable too.
            Ok(()) => folder.sync().map(|()| true).map_err(|error| describe("the folder", error)),
            Err(ErrorCode::Exist) => Ok(false),
            Err(error) => Err(describe(name, error)),
        }
    }

    fn delete(&self, name: &str) -> Result<(), String> {
        match granted_folder()?.unlink_file_at(name) {
            Ok(()) | Err(ErrorCode::NoEntry) => Ok(()),
            Err(error) => Err(describe(name, error)),
        }
    }

    fn random(&self) -> u64 {
        get_random_u64()
    }

    fn back_off(&self, attempt: u32) {
        subscribe_duration(BACK_OFF_NANOS * (u64::from(attempt) + 1)).block();
    }

    /// Removes the temporary files of killed writers. If a writer was merely suspended for that long, its commit fails,
    /// because the file to link is gone.
    fn clean_up(&self) {
        let Ok(folder) = granted_folder() else { return };
        let now = wall_clock::now().seconds;
        for name in file_names(&folder).unwrap_or_default().iter().filter(|name| is_temporary_name(name)) {
            let stat = folder.stat_at(PathFlags::empty(), name).ok();
            let modified = stat.and_then(|stat| stat.data_modification_timestamp);
            if modified.is_some_and(|modified| now.saturating_sub(modified.seconds) > STALE_AFTER_SECS) {
                let _ = folder.unlink_file_at(name);
            }
        }
    }
}

/// The name of a file that has been written but not yet linked to its final name.
fn temporary_name(number: u64) -> String {
    format!("t{number:016x}.tmp")
}

fn is_temporary_name(name: &str) -> bool {
    let number = name.strip_prefix('t').and_then(|rest| rest.strip_suffix(".tmp"));
    let number = number.and_then(|number| u64::from_str_radix(number, 16).ok());
    number.is_some_and(|number| temporary_name(number) == name)
}

fn granted_folder() -> Result<Descriptor, String> {
    let first = get_directories().into_iter().next();
    first.map(|(folder, _)| folder).ok_or_else(|| "the host grants no folder".to_owned())
}

fn file_names(folder: &Descriptor) -> Result<Vec<String>, ErrorCode> {
    let entries = folder.read_directory()?;
    let mut names = Vec::new();
    while let Some(entry) = entries.read_directory_entry()? {
        names.push(entry.name);
    }
    Ok(names)
}

/// Creates a file, writes it and syncs it to disk. Fails if the file exists.
fn write_new_file(folder: &Descriptor, name: &str, blob: &[u8]) -> Result<(), ErrorCode> {
    let new = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let file = folder.open_at(PathFlags::empty(), name, new, DescriptorFlags::WRITE)?;
    let mut written = 0;
    while let Some(rest) = blob.get(written..).filter(|rest| !rest.is_empty()) {
        let chunk = rest.get(..CHUNK_BYTES).unwrap_or(rest);
        let count = file.write(chunk, to_u64(written))?;
        written += usize::try_from(count).map_err(|_| ErrorCode::Overflow)?;
    }
    file.sync()
}

fn to_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// One line that says which file failed, and why.
fn describe(what: &str, error: ErrorCode) -> String {
    format!("{what}: {}", error.name())
}
