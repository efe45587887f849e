//! The part of `wasi:keyvalue@0.2.0-draft2` that the adapter uses.

use wasmtime::{
    Result,
    component::{HasData, Linker, Resource},
};

use crate::{
    bucket::{self, BUCKET_NAME},
    instance::{Instance, Keyvalue},
};

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
        imports: { default: async | trappable },
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

/// What a call returns to the component.
fn answer<T>(result: std::result::Result<T, bucket::Failure>) -> Result<Result<T, Error>> {
    bucket::answer(result, Error::Other)
}

/// Connects [`Keyvalue`] to the generated bindings.
struct Draft2;

impl HasData for Draft2 {
    type Data<'a> = Keyvalue<'a>;
}

impl store::Host for Keyvalue<'_> {
    async fn open(&mut self, identifier: String) -> Result<Result<Resource<BucketHandle>, Error>> {
        if identifier == BUCKET_NAME {
            Ok(Ok(self.table.push(BucketHandle)?))
        } else {
            Ok(Err(Error::NoSuchStore))
        }
    }
}

impl store::HostBucket for Keyvalue<'_> {
    async fn get(
        &mut self,
        _: Resource<BucketHandle>,
        key: String,
    ) -> Result<Result<Option<Vec<u8>>, Error>> {
        answer(self.bucket.get(&key).await)
    }

    async fn set(
        &mut self,
        _: Resource<BucketHandle>,
        key: String,
        value: Vec<u8>,
    ) -> Result<Result<(), Error>> {
        answer(self.bucket.set(&key, &value).await)
    }

    async fn delete(&mut self, _: Resource<BucketHandle>, key: String) -> Result<Result<(), Error>> {
        answer(self.bucket.delete(&key).await)
    }

    async fn list_keys(
        &mut self,
        _: Resource<BucketHandle>,
        cursor: Option<String>,
    ) -> Result<Result<KeyResponse, Error>> {
        let page = self.bucket.keys_after(cursor.as_deref()).await.map(|keys| {
            let is_full = u32::try_from(keys.len()) == Ok(self.bucket.mode().page_keys());
            let cursor = keys.last().filter(|_| is_full).cloned();
            KeyResponse { keys, cursor }
        });
        answer(page)
    }

    async fn drop(&mut self, opened: Resource<BucketHandle>) -> Result<()> {
        self.table.delete(opened)?;
        Ok(())
    }
}

impl atomics::Host for Keyvalue<'_> {
    async fn increment(
        &mut self,
        _: Resource<BucketHandle>,
        key: String,
        delta: i64,
    ) -> Result<Result<i64, Error>> {
        answer(self.bucket.increment(&key, delta).await)
    }

    async fn swap(&mut self, handle: Resource<CasHandle>, value: Vec<u8>) -> Result<Result<(), CasError>> {
        let CasHandle { key, seen } = self.table.delete(handle)?;
        match answer(self.bucket.compare_and_swap(&key, seen.as_deref(), &value).await)? {
            Ok(true) => Ok(Ok(())),
            Ok(false) => {
                let handle = self.cas(key, None)?;
                Ok(Err(handle.map_or_else(CasError::StoreError, CasError::CasFailed)))
            }
            Err(error) => Ok(Err(CasError::StoreError(error))),
        }
    }
}

impl atomics::HostCas for Keyvalue<'_> {
    async fn new(
        &mut self,
        _: Resource<BucketHandle>,
        key: String,
    ) -> Result<Result<Resource<CasHandle>, Error>> {
        match answer(self.bucket.get(&key).await)? {
            Ok(seen) => self.cas(key, seen),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn current(&mut self, handle: Resource<CasHandle>) -> Result<Result<Option<Vec<u8>>, Error>> {
        let key = self.table.get(&handle)?.key.clone();
        let seen = answer(self.bucket.current(&key).await)?;
        if let Ok(seen) = &seen {
            self.table.get_mut(&handle)?.seen.clone_from(seen);
        }
        Ok(seen)
    }

    async fn drop(&mut self, handle: Resource<CasHandle>) -> Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl Keyvalue<'_> {
    /// Makes a compare-and-swap, if this instance may have one more.
    fn cas(&mut self, key: String, seen: Option<Vec<u8>>) -> Result<Result<Resource<CasHandle>, Error>> {
        if *self.cas_handles >= self.bucket.mode().max_cas_handles() {
            return Ok(Err(Error::Other("too many compare-and-swap handles".into())));
        }
        *self.cas_handles += 1;
        Ok(Ok(self.table.push(CasHandle { key, seen })?))
    }
}
