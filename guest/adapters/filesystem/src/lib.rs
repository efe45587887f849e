//! `orders:state/store` in the first folder that the host grants, over `wasi:filesystem`. For small stores only. On a
//! file system without hard links, every commit fails.
//!
//! The adapter writes a blob to a uniquely named file, syncs it, and links it to its final name. The link is atomic, and
//! only one of several concurrent writers succeeds. Several instances and processes can therefore share a folder, provided
//! that its file system is local. A writer that loses the race retries; after 64 attempts the call returns `unavailable`. A
//! killed writer leaves a consistent state, and possibly a `*.tmp` file, which a later checkpoint removes once it is an
//! hour old.

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod folder;

#[cfg(target_arch = "wasm32")]
orders_adapter::adapter!(
    orders_adapter::log::Log<folder::Folder>,
    orders_adapter::log::Log::new(folder::Folder)
);
