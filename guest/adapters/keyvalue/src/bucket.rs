//! [`Storage`] in a bucket, with one key per blob and a second key that claims its name.

use std::cell::OnceCell;

use orders_adapter::storage::Storage;

use crate::bindings::wasi::{
    clocks::monotonic_clock::subscribe_duration,
    keyvalue::{
        atomics::increment,
        store::{Bucket, Error, open},
    },
};

/// Prefix of all keys, because other applications may use the bucket too.
const PREFIX: &str = "orders-state.";
/// Unit of the linear back-off, in nanoseconds: the first attempt waits for one unit, each later one for one more.
const BACK_OFF_NANOS: u64 = 500_000;

/// The bucket named "default", opened on first use.
pub(crate) struct DefaultBucket {
    bucket: OnceCell<Bucket>,
}

impl DefaultBucket {
    pub(crate) const fn new() -> Self {
        Self { bucket: OnceCell::new() }
    }

    fn bucket(&self) -> Result<&Bucket, String> {
        if self.bucket.get().is_none() {
            let _ = self.bucket.set(open("default").map_err(describe)?);
        }
        self.bucket.get().ok_or_else(|| "the bucket is not open".to_owned())
    }
}

impl Storage for DefaultBucket {
    fn list(&self) -> Result<Vec<String>, String> {
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.bucket()?.list_keys(cursor).map_err(describe)?;
            names.extend(page.keys.iter().filter_map(|key| key.strip_prefix(PREFIX)).map(str::to_owned));
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(names);
            }
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        self.bucket()?.get(&blob_key(name)).map_err(describe)
    }

    fn create(&self, name: &str, blob: &[u8]) -> Result<bool, String> {
        let bucket = self.bucket()?;
        if increment(bucket, &claim_key(name), 1).map_err(describe)? != 1 {
            return Ok(false);
        }
        bucket.set(&blob_key(name), blob).map(|()| true).map_err(describe)
    }

    fn delete(&self, name: &str) -> Result<(), String> {
        let bucket = self.bucket()?;
        bucket.delete(&blob_key(name)).map_err(describe)?;
        bucket.delete(&claim_key(name)).map_err(describe)
    }

    fn back_off(&self, attempt: u32) {
        subscribe_duration(BACK_OFF_NANOS * (u64::from(attempt) + 1)).block();
    }
}

fn blob_key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The key of the counter that claims the name.
fn claim_key(name: &str) -> String {
    format!("{PREFIX}taken.{name}")
}

#[allow(clippy::needless_pass_by_value, reason = "map_err passes the error by value")]
fn describe(error: Error) -> String {
    format!("the bucket \"default\": {error:?}")
}
