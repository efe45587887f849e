//! Refuses a file that is mounted without its folder.
//!
//! SQLite keeps the newest commits in a file beside it, the write-ahead log. If only the file is mounted into a container, the
//! log is in the layer of that container, and is lost with it.

use std::{fs, io, path::Path};

use super::{identity::sidecar, open_error::open_error};
use crate::store::backend::OpenError;

/// Checks that the file, if it exists, is on the mount of its folder.
///
/// # Errors
///
/// [`OpenError`] if it is not.
pub(super) fn check(path: &Path) -> Result<(), OpenError> {
    // The log is beside the file to which a link leads.
    let Ok(file) = fs::canonicalize(path) else { return Ok(()) };
    let log = sidecar(&file, "-wal");
    for mounted in [&file, &log] {
        if is_mounted_alone(mounted).unwrap_or(false) {
            let folder = file.parent().unwrap_or(&file);
            let why = format!(
                "only {mounted:?} is mounted, so it and its write-ahead log {log:?} are in different places, and one of them would \
                 be lost with the container; mount the folder {folder:?}"
            );
            return Err(open_error(path, &why));
        }
    }
    Ok(())
}

/// Whether the file is a mount of its own.
#[cfg(target_os = "linux")]
fn is_mounted_alone(file: &Path) -> io::Result<bool> {
    use rustix::{
        fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx},
        io::Errno,
    };

    match statx(CWD, file, AtFlags::empty(), StatxFlags::TYPE) {
        Err(Errno::NOENT) => return Ok(false),
        Ok(at) if at.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => {
            return Ok(at.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
        }
        // A kernel before 5.8, one that imitates Linux, or a filter of system calls that is older than this one.
        Ok(_) | Err(_) => {}
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(mount_points(&mounts).any(|point| Path::new(&point) == file))
}

#[cfg(not(target_os = "linux"))]
fn is_mounted_alone(_: &Path) -> io::Result<bool> {
    Ok(false)
}

/// The mount points in the text of `/proc/self/mountinfo`: the fifth field of each line, in which a space, tab, line feed and
/// backslash are octal (proc_pid_mountinfo(5)).
#[cfg(target_os = "linux")]
fn mount_points(text: &str) -> impl Iterator<Item = String> {
    let unescape = |point: &str| {
        [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
            .iter()
            .fold(point.to_owned(), |point, (code, character)| point.replace(code, character))
    };
    text.lines().filter_map(move |line| line.split(' ').nth(4).map(unescape))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::{fs, path::Path};

    use super::{is_mounted_alone, mount_points};

    #[test]
    fn mount_points_are_read_with_their_special_characters() {
        let text = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n\
                    37 35 98:0 /a /with\\040space\\134 rw - ext4 /dev/root rw\n";
        assert_eq!(mount_points(text).collect::<Vec<_>>(), ["/mnt2", "/with space\\"]);
    }

    #[test]
    fn an_ordinary_file_is_not_mounted_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.db");
        assert!(!is_mounted_alone(&path).unwrap());
        fs::write(&path, "").unwrap();
        assert!(!is_mounted_alone(&path).unwrap());
        assert!(is_mounted_alone(Path::new("/proc")).unwrap());
    }
}
