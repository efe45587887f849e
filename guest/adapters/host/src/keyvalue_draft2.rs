//! The part of `wasi:keyvalue@0.2.0-draft2` that the adapter uses.

use wasmtime::{
    Result,
    component::{HasData, Linker, Resource},
};

use crate::{
    bucket::{BUCKET_NAME, RESULT_DELAY},
    instance::{Instance, Keyvalue},
};

/// Keys per page of a listing: few, so that listings in tests span several pages.
const PAGE_KEYS: usize = 10;

/// A handle to the bucket.
#[allow(unreachable_pub, reason = "generated code re-exports this type")]
pub struct BucketHandle;

/// A pending compare-and-swap.
#[allow(unreachable_pub, reason = "generated code re-exports this type")]
pub struct CasHandle {
    key: String,
    /// The value at the last read of the key.
    seen: Option<Vec<u8>>,
}

mod bindings {
    wasmtime::component::bindgen!({
        path: "../keyvalue-draft2/wit",
        inline: "
            package orders:draft2;
            world imports { import wasi:keyvalue/store@0.2.0-draft2; import wasi:keyvalue/atomics@0.2.0-draft2; }
        ",
        world: "orders:draft2/imports",
        imports: { "wasi:keyvalue/atomics.[method]cas.current": async | trappable, default: trappable },
        with: { "wasi:keyvalue/store.bucket": super::BucketHandle, "wasi:keyvalue/atomics.cas": super::CasHandle },
    });
}

use bindings::wasi::keyvalue::{
    atomics::{self, CasError},
    store::{self, Error, KeyResponse},
};

/// Adds this draft to the linker. Each component uses the bucket of its instance.
///
/// # Errors
///
/// If the linker already defines this draft.
pub(crate) fn add_to_linker(linker: &mut Linker<Instance>) -> Result<()> {
    store::add_to_linker::<_, Draft2>(linker, Instance::keyvalue)?;
    atomics::add_to_linker::<_, Draft2>(linker, Instance::keyvalue)
}

/// Connects [`Keyvalue`] to the generated bindings.
struct Draft2;

impl HasData for Draft2 {
    type Data<'a> = Keyvalue<'a>;
}

impl store::Host for Keyvalue<'_> {
    fn open(&mut self, identifier: String) -> Result<Result<Resource<BucketHandle>, Error>> {
        if identifier == BUCKET_NAME {
            Ok(Ok(self.table.push(BucketHandle)?))
        } else {
            Ok(Err(Error::NoSuchStore))
        }
    }
}

impl store::HostBucket for Keyvalue<'_> {
    fn get(&mut self, _: Resource<BucketHandle>, key: String) -> Result<Result<Option<Vec<u8>>, Error>> {
        Ok(Ok(self.bucket.get(&key)))
    }

    fn delete(&mut self, _: Resource<BucketHandle>, key: String) -> Result<Result<(), Error>> {
        self.bucket.delete(&key);
        Ok(Ok(()))
    }

    fn list_keys(
        &mut self,
        _: Resource<BucketHandle>,
        cursor: Option<String>,
    ) -> Result<Result<KeyResponse, Error>> {
        let keys = self.bucket.keys_after(cursor.as_deref(), PAGE_KEYS);
        let cursor = keys.last().filter(|_| keys.len() == PAGE_KEYS).cloned();
        Ok(Ok(KeyResponse { keys, cursor }))
    }

    fn drop(&mut self, opened: Resource<BucketHandle>) -> Result<()> {
        self.table.delete(opened)?;
        Ok(())
    }
}

impl atomics::Host for Keyvalue<'_> {
    fn swap(&mut self, handle: Resource<CasHandle>, value: Vec<u8>) -> Result<Result<(), CasError>> {
        let CasHandle { key, seen } = self.table.delete(handle)?;
        if self.bucket.compare_and_swap(&key, seen.as_deref(), value) {
            return Ok(Ok(()));
        }
        let seen = self.bucket.get(&key);
        Ok(Err(CasError::CasFailed(self.table.push(CasHandle { key, seen })?)))
    }
}

impl atomics::HostCas for Keyvalue<'_> {
    fn new(&mut self, _: Resource<BucketHandle>, key: String) -> Result<Result<Resource<CasHandle>, Error>> {
        let seen = self.bucket.get(&key);
        Ok(Ok(self.table.push(CasHandle { key, seen })?))
    }

    async fn current(&mut self, handle: Resource<CasHandle>) -> Result<Result<Option<Vec<u8>>, Error>> {
        let cas = self.table.get_mut(&handle)?;
        cas.seen = self.bucket.get(&cas.key);
        tokio::time::sleep(RESULT_DELAY).await;
        Ok(Ok(cas.seen.clone()))
    }

    fn drop(&mut self, handle: Resource<CasHandle>) -> Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
