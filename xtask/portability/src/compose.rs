//! Composes the orders component with each adapter of its store, for other hosts, and checks the imports of the result.

use std::{collections::BTreeSet, fs, path::Path};

use wac_graph::{CompositionGraph, EncodeOptions, plug, types::Package};
use wit_component::DecodedWasm;

use xtask::{
    adapters::Adapter,
    command::{TaskError, file_error},
    components,
};

/// The interfaces of `wasi:http/proxy`, which every host provides, that the orders component and the adapters use.
const PROXY: [&str; 8] = [
    "wasi:cli/stderr@0.2.12",
    "wasi:clocks/monotonic-clock@0.2.12",
    "wasi:clocks/wall-clock@0.2.12",
    "wasi:http/types@0.2.12",
    "wasi:io/error@0.2.12",
    "wasi:io/poll@0.2.12",
    "wasi:io/streams@0.2.12",
    "wasi:random/random@0.2.12",
];

/// What a composed component must import beyond [`PROXY`].
pub(crate) fn storage(adapter: Adapter) -> &'static [&'static str] {
    match adapter {
        Adapter::Memory => &[],
        Adapter::Filesystem => &["wasi:filesystem/preopens@0.2.12", "wasi:filesystem/types@0.2.12"],
        Adapter::Keyvalue => &["wasi:keyvalue/atomics@0.2.0-draft", "wasi:keyvalue/store@0.2.0-draft"],
        Adapter::Spin => &["wasi:keyvalue/atomics@0.2.0-draft2", "wasi:keyvalue/store@0.2.0-draft2"],
    }
}

/// Builds and composes all of them, into `target/components`.
pub(crate) fn all() -> Result<(), TaskError> {
    let orders = components::orders()?;
    for adapter in Adapter::ALL {
        let component = components::adapter(adapter.package())?;
        let bytes = compose(&[("orders:component", &orders), ("orders:adapter", &component)])
            .and_then(|bytes| check_imports(adapter, &imports(&bytes)?).map(|()| bytes))
            .map_err(|reason| TaskError(format!("{}: {reason}", adapter.composed())))?;
        let path = adapter.path();
        fs::write(&path, bytes).map_err(|error| file_error(&path, &error))?;
    }
    Ok(())
}

/// Composes a component with another one that exports what it imports.
fn compose(components: &[(&str, &Path); 2]) -> Result<Vec<u8>, String> {
    let mut graph = CompositionGraph::new();
    let mut packages = Vec::new();
    for (name, file) in components {
        let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let package = Package::from_bytes(name, None, bytes, graph.types_mut());
        let package = package.map_err(|error| format!("{error:#}"))?;
        packages.push(graph.register_package(package).map_err(|error| error.to_string())?);
    }
    if let [socket, plugged] = *packages {
        plug(&mut graph, vec![plugged], socket).map_err(|error| error.to_string())?;
    }
    graph.encode(EncodeOptions::default()).map_err(|error| error.to_string())
}

/// The names of the imports of a component.
fn imports(bytes: &[u8]) -> Result<BTreeSet<String>, String> {
    let decoded = wit_component::decode(bytes).map_err(|error| format!("{error:#}"))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err("this is not a component".into());
    };
    let world = resolve.worlds.get(world).ok_or("this component has no world")?;
    Ok(world.imports.keys().map(|key| resolve.name_world_key(key)).collect())
}

/// Checks that a composed component imports all interfaces of its storage, and beyond them only those of [`PROXY`].
fn check_imports(adapter: Adapter, imports: &BTreeSet<String>) -> Result<(), String> {
    let is_allowed = |import: &&str| PROXY.contains(import) || storage(adapter).contains(import);
    if let Some(import) = imports.iter().find(|import| !is_allowed(&import.as_str())) {
        return Err(format!("it imports {import}"));
    }
    let missing = storage(adapter).iter().find(|import| !imports.contains(**import));
    missing.map_or(Ok(()), |import| Err(format!("it does not import {import}")))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use xtask::{adapters::Adapter, workspace};

    use super::{PROXY, check_imports, storage};

    const STORE: &str = "orders:state/store@0.1.0";

    #[test]
    fn only_the_listed_interfaces_and_versions_are_accepted() {
        let set = |names: &[&[&str]]| names.concat().into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        for adapter in Adapter::ALL {
            assert_eq!(check_imports(adapter, &set(&[&PROXY, storage(adapter)])), Ok(()));
            for other in
                [STORE, "wasi:sockets/tcp@0.2.12", "wasi:io/poll@0.2.6", "wasi:keyvalue/batch@0.2.0-draft"]
            {
                assert!(
                    check_imports(adapter, &set(&[&PROXY, storage(adapter), &[other]])).is_err(),
                    "{other}"
                );
            }
        }
        assert!(check_imports(Adapter::Spin, &set(&[&PROXY])).is_err(), "without its storage");
    }

    #[test]
    fn the_examples_name_the_composed_components_and_their_imports() {
        let read = |name: &str| fs::read_to_string(workspace().join(name)).unwrap();
        let spin = read("examples/spin.toml");
        assert!(spin.contains(&format!("source = \"../target/dist/{}\"\n", Adapter::Spin.composed())));
        let wasmcloud = read("examples/wasmcloud/.wash/config.yaml");
        assert!(
            wasmcloud
                .contains(&format!("component_path: ../../target/dist/{}\n", Adapter::Keyvalue.composed()))
        );
        let page = read("docs/portability.md");
        let (_, running) = page.split_once("## Which file for which host").unwrap();
        let (running, _) = running.split_once("## ").unwrap();
        for adapter in Adapter::ALL {
            assert!(running.contains(&format!("| `{}` |", adapter.composed())), "{adapter:?}");
        }
        for named in ["`spin up -f examples/spin.toml`", "`wash dev` in `examples/wasmcloud`"] {
            assert!(running.contains(named), "{named}");
        }
    }
}
