//! The bucket that the storage of the core uses.

use std::cell::OnceCell;

use crate::bindings::wasi::{
    clocks::monotonic_clock::subscribe_duration,
    keyvalue::{
        atomics::{Cas, CasError, increment, swap},
        store::{Bucket, Error, open},
    },
    random::random::get_random_u64,
};

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

impl orders_adapter::bucket::Bucket for DefaultBucket {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.bucket()?.get(key).map_err(describe)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), String> {
        self.bucket()?.set(key, value).map_err(describe)
    }

    fn delete(&self, key: &str) -> Result<(), String> {
        self.bucket()?.delete(key).map_err(describe)
    }

    fn keys(&self) -> Result<Vec<String>, String> {
        let (mut keys, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = self.bucket()?.list_keys(cursor.as_deref()).map_err(describe)?;
            keys.extend(page.keys);
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(keys);
            }
        }
    }

    fn random(&self) -> u64 {
        get_random_u64()
    }

    fn back_off(&self, attempt: u32) {
        subscribe_duration(BACK_OFF_NANOS * (u64::from(attempt) + 1)).block();
    }
}

impl orders_adapter::bucket::Swap for DefaultBucket {
    fn begin_counter(&self, key: &str) -> Result<(), String> {
        increment(self.bucket()?, key, 0).map(drop).map_err(describe)
    }

    fn swap(&self, key: &str, from: &[u8], to: &[u8]) -> Result<(), String> {
        let cas = Cas::new(self.bucket()?, key).map_err(describe)?;
        if cas.current().map_err(describe)?.as_deref() != Some(from) {
            return Ok(());
        }
        swap(cas, to).map_err(|error| match error {
            CasError::CasFailed(_) => "the value was not swapped".to_owned(),
            CasError::StoreError(error) => describe(error),
        })
    }
}

#[allow(clippy::needless_pass_by_value, reason = "map_err passes the error by value")]
fn describe(error: Error) -> String {
    format!("the bucket \"default\": {error:?}")
}
