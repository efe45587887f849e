//! The part of `wasi:keyvalue@0.2.0-draft` that the adapter uses.

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

mod bindings {
    wasmtime::component::bindgen!({
        path: "../keyvalue/wit",
        inline: "
            package orders:draft;
            world imports { import wasi:keyvalue/store@0.2.0-draft; import wasi:keyvalue/atomics@0.2.0-draft; }
        ",
        world: "orders:draft/imports",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": super::BucketHandle },
    });
}

use bindings::wasi::keyvalue::{
    atomics,
    store::{self, Error, KeyResponse},
};

/// Adds this draft to the linker. Each component uses the bucket of its instance.
///
/// # Errors
///
/// If the linker already defines this draft.
pub(crate) fn add_to_linker(linker: &mut Linker<Instance>) -> Result<()> {
    store::add_to_linker::<_, Draft>(linker, Instance::keyvalue)?;
    atomics::add_to_linker::<_, Draft>(linker, Instance::keyvalue)
}

/// What a call returns to the component.
fn answer<T>(result: std::result::Result<T, bucket::Failure>) -> Result<Result<T, Error>> {
    bucket::answer(result, Error::Other)
}

/// Connects [`Keyvalue`] to the generated bindings.
struct Draft;

impl HasData for Draft {
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

    /// The cursor is a number of keys: if keys are deleted meanwhile, the next page begins too late.
    async fn list_keys(
        &mut self,
        _: Resource<BucketHandle>,
        cursor: Option<u64>,
    ) -> Result<Result<KeyResponse, Error>> {
        let (from, limit) = (cursor.unwrap_or_default(), self.bucket.mode().page_keys());
        let page = self.bucket.keys_from(i64::try_from(from)?).await.map(|keys| {
            let is_full = u32::try_from(keys.len()) == Ok(limit);
            KeyResponse { keys, cursor: is_full.then(|| from + u64::from(limit)) }
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
        delta: u64,
    ) -> Result<Result<u64, Error>> {
        let number = self.bucket.increment(&key, i64::try_from(delta)?).await;
        answer(number.map(i64::cast_unsigned))
    }
}
