//! The orders component together with an adapter of its store: what hosts of others run. Each is held to a list of what it
//! imports.

use std::{collections::BTreeSet, fs, path::Path};

use wac_graph::{CompositionGraph, EncodeOptions, plug, types::Package};
use wit_component::DecodedWasm;

use xtask::{
    adapters::Adapter,
    command::{Failed, failed},
    components,
};

/// What every `wasi:http/proxy` host has, and the orders component and adapters use.
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

/// What a composed component imports beyond [`PROXY`]: all of these.
pub(crate) fn storage(adapter: Adapter) -> &'static [&'static str] {
    match adapter {
        Adapter::Memory => &[],
        Adapter::Filesystem => &["wasi:filesystem/preopens@0.2.12", "wasi:filesystem/types@0.2.12"],
        Adapter::Keyvalue => &["wasi:keyvalue/atomics@0.2.0-draft", "wasi:keyvalue/store@0.2.0-draft"],
        Adapter::Spin => &["wasi:keyvalue/atomics@0.2.0-draft2", "wasi:keyvalue/store@0.2.0-draft2"],
    }
}

/// Builds and composes all of them, into `components`.
///
/// # Errors
///
/// [`Failed`] if one does not build, or imports anything else than it should.
pub(crate) fn all() -> Result<(), Failed> {
    let orders = components::orders()?;
    Adapter::ALL
        .into_iter()
        .try_for_each(|adapter| compose(adapter, &orders, &components::adapter(adapter.package())?))
}

fn compose(kind: Adapter, component: &Path, adapter: &Path) -> Result<(), Failed> {
    let wrong = |what: &dyn std::fmt::Display| Failed(format!("{}: {what}", kind.composed()));
    let mut graph = CompositionGraph::new();
    let mut packages = Vec::new();
    for (name, file) in [("orders:component", component), ("orders:adapter", adapter)] {
        let bytes = fs::read(file).map_err(|error| failed(file, &error))?;
        let package = Package::from_bytes(name, None, bytes, graph.types_mut());
        let package = package.map_err(|error| wrong(&format!("{error:#}")))?;
        packages.push(graph.register_package(package).map_err(|error| wrong(&error))?);
    }
    if let [orders, adapter] = *packages {
        plug(&mut graph, vec![adapter], orders).map_err(|error| wrong(&error))?;
    }
    let bytes = graph.encode(EncodeOptions::default()).map_err(|error| wrong(&error))?;
    let imports = imports(&bytes).map_err(|what| wrong(&what))?;
    check(kind, &imports).map_err(|what| wrong(&what))?;
    let path = kind.path();
    fs::write(&path, bytes).map_err(|error| failed(&path, &error))
}

/// The names of what a component imports.
fn imports(bytes: &[u8]) -> Result<BTreeSet<String>, String> {
    let decoded = wit_component::decode(bytes).map_err(|error| format!("{error:#}"))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err("this is no component".into());
    };
    let world = resolve.worlds.get(world).ok_or("this component has no world")?;
    Ok(world.imports.keys().map(|key| resolve.name_world_key(key)).collect())
}

/// Whether these are what a composed component should import: its storage, whole, and nothing but that and what every host
/// has.
fn check(kind: Adapter, imports: &BTreeSet<String>) -> Result<(), String> {
    let allowed: BTreeSet<_> = PROXY.iter().chain(storage(kind)).copied().collect();
    let beyond: Vec<_> = imports.iter().filter(|import| !allowed.contains(import.as_str())).collect();
    if !beyond.is_empty() {
        return Err(format!("it imports {beyond:?}"));
    }
    let missing = storage(kind).iter().find(|import| !imports.contains(**import));
    missing.map_or(Ok(()), |import| Err(format!("it does not import {import}")))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use xtask::{adapters::Adapter, workspace};

    use super::{PROXY, check, storage};

    const STORE: &str = "orders:state/store@0.1.0";

    #[test]
    fn only_standard_interfaces_of_the_versions_named_are_let_through() {
        let set = |names: &[&[&str]]| names.concat().into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        for kind in Adapter::ALL {
            assert_eq!(check(kind, &set(&[&PROXY, storage(kind)])), Ok(()));
            for other in
                [STORE, "wasi:sockets/tcp@0.2.12", "wasi:io/poll@0.2.6", "wasi:keyvalue/batch@0.2.0-draft"]
            {
                assert!(check(kind, &set(&[&PROXY, storage(kind), &[other]])).is_err(), "{other}");
            }
        }
        assert!(check(Adapter::Spin, &set(&[&PROXY])).is_err(), "without its storage");
    }

    #[test]
    fn the_run_files_name_what_is_composed_and_what_it_imports() {
        let read = |name: &str| fs::read_to_string(workspace().join(name)).unwrap();
        let spin = read("examples/spin.toml");
        assert!(spin.contains(&format!("source = \"../target/dist/{}\"\n", Adapter::Spin.composed())));
        let wasmcloud = read("examples/wasmcloud.yaml");
        assert!(wasmcloud.contains(&format!("target/dist/{} ", Adapter::Keyvalue.composed())));
        let (_, keyvalue) = wasmcloud.split_once("package: keyvalue\n").unwrap();
        for import in storage(Adapter::Keyvalue) {
            let (interface, version) =
                import.strip_prefix("wasi:keyvalue/").unwrap().split_once('@').unwrap();
            assert!(keyvalue.contains(&format!("version: {version}\n")), "{import}");
            let (_, interfaces) = keyvalue.split_once("interfaces: [").unwrap();
            let (interfaces, _) = interfaces.split_once(']').unwrap();
            assert!(interfaces.split(", ").any(|named| named == interface), "{import}");
        }
        let page = read("docs/portability.md");
        let (_, running) = page.split_once("## Running it").unwrap();
        let (running, _) = running.split_once("## ").unwrap();
        for named in [
            Adapter::Memory.composed(),
            Adapter::Filesystem.composed(),
            "examples/spin.toml",
            "examples/wasmcloud.yaml",
        ] {
            assert!(running.contains(&format!(" {named}\n")), "{named}");
        }
    }
}
