//! The linkers: the imports that this host provides to a component.

use wasmtime::{Engine, component::Linker};

use crate::{instance::Instance, keyvalue_draft, keyvalue_draft2};

/// A linker with everything that a composed component may import.
///
/// # Errors
///
/// If two of the interfaces conflict.
pub(crate) fn full_linker(engine: &Engine) -> wasmtime::Result<Linker<Instance>> {
    let mut linker = wasi_linker(engine)?;
    keyvalue_draft::add_to_linker(&mut linker)?;
    keyvalue_draft2::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// A linker with the released WASI interfaces, without the drafts.
fn wasi_linker(engine: &Engine) -> wasmtime::Result<Linker<Instance>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use std::{env, path::PathBuf, sync::LazyLock};

    use wasmtime::{
        Engine, Store,
        component::{Component, Linker},
    };
    use wasmtime_wasi_keyvalue::{WasiKeyValue, WasiKeyValueCtx};

    use super::wasi_linker;
    use crate::{
        bucket::Bucket,
        instance::{Instance, Keyvalue},
        mode::Mode,
    };

    /// Loads a composed component that `cargo xtask test` has built.
    fn composed_component(engine: &Engine, file: &str) -> Component {
        let program = env::current_exe().unwrap();
        let path: PathBuf = program.ancestors().nth(3).unwrap().join("components").join(file);
        assert!(
            path.exists(),
            "{} is missing: run the tests with `cargo xtask test`, which builds it",
            path.display()
        );
        Component::from_file(engine, path).unwrap()
    }

    /// This host implements the copy of the draft in this repository. Here the component is linked with the draft that
    /// wasmtime publishes.
    #[tokio::test]
    async fn the_component_instantiates_with_the_draft_that_wasmtime_publishes() {
        static CONTEXT: LazyLock<WasiKeyValueCtx> = LazyLock::new(|| WasiKeyValueCtx::builder().build());
        let engine = Engine::default();
        let mut linker: Linker<Instance> = wasi_linker(&engine).unwrap();
        wasmtime_wasi_keyvalue::add_to_linker(&mut linker, |instance: &mut Instance| {
            let Keyvalue { table, .. } = instance.keyvalue();
            WasiKeyValue::new(&CONTEXT, table)
        })
        .unwrap();
        let mut store =
            Store::new(&engine, Instance::new(Bucket::open(None, Mode::Exact).unwrap(), None).unwrap());
        linker
            .instantiate_async(&mut store, &composed_component(&engine, "orders-keyvalue.wasm"))
            .await
            .unwrap();
        // wasmtime does not implement the other draft.
        assert!(linker.instantiate_pre(&composed_component(&engine, "orders-spin.wasm")).is_err());
    }
}
