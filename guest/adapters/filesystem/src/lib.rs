//! Small stores only: each new instance reads all of it, and a folder whose file system has no hard links is refused.
//!
//! `orders:state/store` in the first folder that the host grants, over `wasi:filesystem`. A blob is written to a file of
//! a name of its own, synced, and linked to its name: that takes place whole or not at all, and only for one of all
//! who try. So several instances and several processes may share a folder, if its file system is a local one; those who
//! come second try again, and are told that the store is unavailable after 64 times. Whoever is killed leaves a whole
//! state, and perhaps a file `*.tmp`, which is removed with a later checkpoint once it is an hour old.

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod folder;

#[cfg(target_arch = "wasm32")]
orders_adapter::adapter!(
    orders_adapter::log::Log<folder::Folder>,
    orders_adapter::log::Log::new(folder::Folder)
);
