//! `wasi:keyvalue@0.2.0-draft2`, as far as the adapter uses it.

use wasmtime::{
    Result,
    component::{HasData, Linker, Resource},
};

use crate::{
    bucket::{NAME, WAY_BACK},
    instance::{Instance, Keyvalue},
};

/// Keys on a page of a listing: few, so that a test has several pages.
const PAGE: usize = 10;

/// A handle to the bucket.
#[allow(unreachable_pub, reason = "the generated code re-exports it")]
pub struct Opened;

/// A value to be swapped.
#[allow(unreachable_pub, reason = "the generated code re-exports it")]
pub struct Swap {
    key: String,
    /// What was under the key when it was last looked at.
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
        with: { "wasi:keyvalue/store.bucket": super::Opened, "wasi:keyvalue/atomics.cas": super::Swap },
    });
}

use bindings::wasi::keyvalue::{
    atomics::{self, CasError},
    store::{self, Error, KeyResponse},
};

/// Gives every component linked by `linker` the bucket of its instance.
///
/// # Errors
///
/// If the linker has this draft already.
pub(crate) fn add_to_linker(linker: &mut Linker<Instance>) -> Result<()> {
    store::add_to_linker::<_, Draft2>(linker, Instance::keyvalue)?;
    atomics::add_to_linker::<_, Draft2>(linker, Instance::keyvalue)
}

/// Ties [`Keyvalue`] to the bindings.
struct Draft2;

impl HasData for Draft2 {
    type Data<'a> = Keyvalue<'a>;
}

impl store::Host for Keyvalue<'_> {
    fn open(&mut self, identifier: String) -> Result<Result<Resource<Opened>, Error>> {
        if identifier == NAME { Ok(Ok(self.table.push(Opened)?)) } else { Ok(Err(Error::NoSuchStore)) }
    }
}

impl store::HostBucket for Keyvalue<'_> {
    fn get(&mut self, _: Resource<Opened>, key: String) -> Result<Result<Option<Vec<u8>>, Error>> {
        Ok(Ok(self.bucket.get(&key)))
    }

    fn delete(&mut self, _: Resource<Opened>, key: String) -> Result<Result<(), Error>> {
        self.bucket.delete(&key);
        Ok(Ok(()))
    }

    fn list_keys(
        &mut self,
        _: Resource<Opened>,
        cursor: Option<String>,
    ) -> Result<Result<KeyResponse, Error>> {
        let keys = self.bucket.keys_after(cursor.as_deref(), PAGE);
        let cursor = keys.last().filter(|_| keys.len() == PAGE).cloned();
        Ok(Ok(KeyResponse { keys, cursor }))
    }

    fn drop(&mut self, opened: Resource<Opened>) -> Result<()> {
        self.table.delete(opened)?;
        Ok(())
    }
}

impl atomics::Host for Keyvalue<'_> {
    fn swap(&mut self, swap: Resource<Swap>, value: Vec<u8>) -> Result<Result<(), CasError>> {
        let Swap { key, seen } = self.table.delete(swap)?;
        if self.bucket.swap(&key, seen.as_deref(), value) {
            return Ok(Ok(()));
        }
        let seen = self.bucket.get(&key);
        Ok(Err(CasError::CasFailed(self.table.push(Swap { key, seen })?)))
    }
}

impl atomics::HostCas for Keyvalue<'_> {
    fn new(&mut self, _: Resource<Opened>, key: String) -> Result<Result<Resource<Swap>, Error>> {
        let seen = self.bucket.get(&key);
        Ok(Ok(self.table.push(Swap { key, seen })?))
    }

    async fn current(&mut self, swap: Resource<Swap>) -> Result<Result<Option<Vec<u8>>, Error>> {
        let swap = self.table.get_mut(&swap)?;
        swap.seen = self.bucket.get(&swap.key);
        tokio::time::sleep(WAY_BACK).await;
        Ok(Ok(swap.seen.clone()))
    }

    fn drop(&mut self, swap: Resource<Swap>) -> Result<()> {
        self.table.delete(swap)?;
        Ok(())
    }
}
