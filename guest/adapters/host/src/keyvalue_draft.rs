//! The part of `wasi:keyvalue@0.2.0-draft` that the adapter uses.

use wasmtime::{
    Result,
    component::{HasData, Linker, Resource},
};

use crate::{
    bucket::{BUCKET_NAME, RESULT_DELAY},
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
        imports: { "wasi:keyvalue/atomics.increment": async | trappable, default: trappable },
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

/// Connects [`Keyvalue`] to the generated bindings.
struct Draft;

impl HasData for Draft {
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

    fn set(&mut self, _: Resource<BucketHandle>, key: String, value: Vec<u8>) -> Result<Result<(), Error>> {
        self.bucket.set(key, value);
        Ok(Ok(()))
    }

    fn delete(&mut self, _: Resource<BucketHandle>, key: String) -> Result<Result<(), Error>> {
        self.bucket.delete(&key);
        Ok(Ok(()))
    }

    /// Returns all keys in one page: with a numeric cursor, a concurrent delete would make the listing skip keys.
    fn list_keys(&mut self, _: Resource<BucketHandle>, _: Option<u64>) -> Result<Result<KeyResponse, Error>> {
        Ok(Ok(KeyResponse { keys: self.bucket.keys_after(None, usize::MAX), cursor: None }))
    }

    fn drop(&mut self, opened: Resource<BucketHandle>) -> Result<()> {
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
        let error = || Error::Other(format!("{key} is not a number, or the sum overflows"));
        let number = self.bucket.increment(key.clone(), delta).ok_or_else(error);
        tokio::time::sleep(RESULT_DELAY).await;
        Ok(number)
    }
}
