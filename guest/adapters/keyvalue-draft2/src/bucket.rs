//! [`Storage`] in a bucket: a key for each blob.

use std::cell::OnceCell;

use orders_adapter::storage::Storage;

use crate::bindings::wasi::{
    clocks::monotonic_clock::subscribe_duration,
    keyvalue::{
        atomics::{Cas, CasError, swap},
        store::{Bucket, Error, open},
    },
};

/// What all keys begin with: others may use the bucket too.
const PREFIX: &str = "orders-state.";
/// Nanoseconds that the first attempt waits for; each one waits for one more of these.
const PAUSE: u64 = 500_000;

/// The bucket of this name, opened when it is first used.
pub(crate) struct Default {
    bucket: OnceCell<Bucket>,
}

impl Default {
    pub(crate) const fn new() -> Self {
        Self { bucket: OnceCell::new() }
    }

    fn bucket(&self) -> Result<&Bucket, String> {
        if self.bucket.get().is_none() {
            let _ = self.bucket.set(open("default").map_err(failed)?);
        }
        self.bucket.get().ok_or_else(|| "the bucket is not open".to_owned())
    }
}

impl Storage for Default {
    fn list(&self) -> Result<Vec<String>, String> {
        let (mut names, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = self.bucket()?.list_keys(cursor.as_deref()).map_err(failed)?;
            names.extend(page.keys.iter().filter_map(|key| key.strip_prefix(PREFIX)).map(str::to_owned));
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(names);
            }
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        self.bucket()?.get(&key(name)).map_err(failed)
    }

    fn create(&self, name: &str, blob: &[u8]) -> Result<bool, String> {
        let cas = Cas::new(self.bucket()?, &key(name)).map_err(failed)?;
        if cas.current().map_err(failed)?.is_some() {
            return Ok(false);
        }
        match swap(cas, blob) {
            Ok(()) => Ok(true),
            Err(CasError::CasFailed(_)) => Ok(false),
            Err(CasError::StoreError(error)) => Err(failed(error)),
        }
    }

    fn delete(&self, name: &str) -> Result<(), String> {
        self.bucket()?.delete(&key(name)).map_err(failed)
    }

    fn pause(&self, attempt: u32) {
        subscribe_duration(PAUSE * (u64::from(attempt) + 1)).block();
    }
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err calls")]
fn failed(error: Error) -> String {
    format!("the bucket \"default\": {error:?}")
}
