//! `wasi:keyvalue@0.2.0-draft`, as far as the adapter uses it.

use wasmtime::{
    Result,
    component::{HasData, Linker, Resource},
};

use crate::{
    bucket::{NAME, WAY_BACK},
    instance::{Instance, Keyvalue},
};

/// A handle to the bucket.
#[allow(unreachable_pub, reason = "the generated code re-exports it")]
pub struct Opened;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../keyvalue/wit",
        inline: "
            package orders:draft;
            world imports { import wasi:keyvalue/store@0.2.0-draft; import wasi:keyvalue/atomics@0.2.0-draft; }
        ",
        world: "orders:draft/imports",
        imports: { "wasi:keyvalue/atomics.increment": async | trappable, default: trappable },
        with: { "wasi:keyvalue/store.bucket": super::Opened },
    });
}

use bindings::wasi::keyvalue::{
    atomics,
    store::{self, Error, KeyResponse},
};

/// Gives every component linked by `linker` the bucket of its instance.
///
/// # Errors
///
/// If the linker has this draft already.
pub(crate) fn add_to_linker(linker: &mut Linker<Instance>) -> Result<()> {
    store::add_to_linker::<_, Draft>(linker, Instance::keyvalue)?;
    atomics::add_to_linker::<_, Draft>(linker, Instance::keyvalue)
}

/// Ties [`Keyvalue`] to the bindings.
struct Draft;

impl HasData for Draft {
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

    fn set(&mut self, _: Resource<Opened>, key: String, value: Vec<u8>) -> Result<Result<(), Error>> {
        self.bucket.set(key, value);
        Ok(Ok(()))
    }

    fn delete(&mut self, _: Resource<Opened>, key: String) -> Result<Result<(), Error>> {
        self.bucket.delete(&key);
        Ok(Ok(()))
    }

    /// All at once: a number as a cursor would lose keys where others are deleted meanwhile.
    fn list_keys(&mut self, _: Resource<Opened>, _: Option<u64>) -> Result<Result<KeyResponse, Error>> {
        Ok(Ok(KeyResponse { keys: self.bucket.keys_after(None, usize::MAX), cursor: None }))
    }

    fn drop(&mut self, opened: Resource<Opened>) -> Result<()> {
        self.table.delete(opened)?;
        Ok(())
    }
}

impl atomics::Host for Keyvalue<'_> {
    async fn increment(
        &mut self,
        _: Resource<Opened>,
        key: String,
        delta: u64,
    ) -> Result<Result<u64, Error>> {
        let failed = || Error::Other(format!("{key} is no number, or would be too large"));
        let number = self.bucket.increment(key.clone(), delta).ok_or_else(failed);
        tokio::time::sleep(WAY_BACK).await;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use std::{env, path::PathBuf, sync::LazyLock};

    use wasmtime::{
        Engine, Store,
        component::{Component, Linker},
    };
    use wasmtime_wasi_keyvalue::{WasiKeyValue, WasiKeyValueCtx};

    use crate::{
        bucket::Bucket,
        instance::{Instance, Keyvalue},
        standard_linker,
    };

    /// A composed component, as `cargo xtask test` built it.
    fn composed(engine: &Engine, file: &str) -> Component {
        let program = env::current_exe().unwrap();
        let path: PathBuf = program.ancestors().nth(3).unwrap().join("components").join(file);
        assert!(
            path.exists(),
            "{} is missing: run the tests by `cargo xtask test`, which builds it",
            path.display()
        );
        Component::from_file(engine, path).unwrap()
    }

    /// What this host gives a component is written after our own copy of the draft. Here it is the draft as wasmtime has it.
    #[tokio::test]
    async fn the_component_is_instantiated_with_the_draft_as_wasmtime_has_it() {
        static CONTEXT: LazyLock<WasiKeyValueCtx> = LazyLock::new(|| WasiKeyValueCtx::builder().build());
        let engine = Engine::default();
        let mut linker: Linker<Instance> = standard_linker(&engine).unwrap();
        wasmtime_wasi_keyvalue::add_to_linker(&mut linker, |instance: &mut Instance| {
            let Keyvalue { table, .. } = instance.keyvalue();
            WasiKeyValue::new(&CONTEXT, table)
        })
        .unwrap();
        let mut store = Store::new(&engine, Instance::new(Bucket::default(), None).unwrap());
        linker.instantiate_async(&mut store, &composed(&engine, "orders-keyvalue.wasm")).await.unwrap();
        // The other draft is none that wasmtime has.
        assert!(linker.instantiate_pre(&composed(&engine, "orders-spin.wasm")).is_err());
    }
}
