//! The PostgreSQL installation of this machine: its programs, and the user that runs them.

use std::{env, fs, os::unix::fs::MetadataExt, path::PathBuf, process::Command, sync::OnceLock};

/// Finds the folder of the server's programs.
pub(super) fn programs() -> Option<PathBuf> {
    let has_all =
        |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).exists());
    let on_path =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let configured = Command::new("pg_config")
        .arg("--bindir")
        .output()
        .ok()
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    // Debian does not add them to the PATH, and installs them by version.
    let mut debian: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    debian.sort_unstable();
    on_path.into_iter().chain(configured).chain(debian.into_iter().rev().map(|(_, path)| path)).find(has_all)
}

/// The user that runs the server if this process is root: the one that the PostgreSQL package creates, or else
/// `nobody`.
pub(super) fn other_user() -> Option<(u32, u32)> {
    static USER: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *USER.get_or_init(|| {
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let find = |name: &str| {
            let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2).map(|field| field.parse().ok());
            Some((fields.next()??, fields.next()??))
        };
        Some(find("postgres").or_else(|| find("nobody")).expect("the user nobody should exist"))
    })
}
