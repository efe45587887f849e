//! The orders component together with an adapter of its store: what hosts of others run. Each is held to a list of what it
//! imports.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use wac_graph::{CompositionGraph, EncodeOptions, plug, types::Package};
use wit_component::DecodedWasm;

use crate::{
    command::{Failed, failed},
    components, target,
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

/// An adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Filesystem,
    Keyvalue,
    Spin,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Memory, Self::Filesystem, Self::Keyvalue, Self::Spin];

    fn package(self) -> &'static str {
        match self {
            Self::Memory => "orders-adapter-memory",
            Self::Filesystem => "orders-adapter-filesystem",
            Self::Keyvalue => "orders-adapter-keyvalue",
            Self::Spin => "orders-adapter-keyvalue-draft2",
        }
    }

    /// The name of the composed component.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Memory => "orders-memory.wasm",
            Self::Filesystem => "orders-filesystem.wasm",
            Self::Keyvalue => "orders-keyvalue.wasm",
            Self::Spin => "orders-spin.wasm",
        }
    }

    /// What it imports beyond [`PROXY`]: all of these.
    pub(crate) fn storage(self) -> &'static [&'static str] {
        match self {
            Self::Memory => &[],
            Self::Filesystem => &["wasi:filesystem/preopens@0.2.12", "wasi:filesystem/types@0.2.12"],
            Self::Keyvalue => &["wasi:keyvalue/atomics@0.2.0-draft", "wasi:keyvalue/store@0.2.0-draft"],
            Self::Spin => &["wasi:keyvalue/atomics@0.2.0-draft2", "wasi:keyvalue/store@0.2.0-draft2"],
        }
    }
}

/// A composed component.
pub(crate) struct Composed {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
}

/// The packages of the adapters.
pub(crate) fn packages() -> impl Iterator<Item = &'static str> {
    Kind::ALL.into_iter().map(Kind::package)
}

/// Builds and composes all of them, into `components`.
///
/// # Errors
///
/// [`Failed`] if one does not build, or imports anything else than it should.
pub(crate) fn all() -> Result<Vec<Composed>, Failed> {
    let orders = components::orders()?;
    Kind::ALL.into_iter().map(|kind| compose(kind, &orders, &components::adapter(kind.package())?)).collect()
}

/// Builds and composes one of them, into `components`.
///
/// # Errors
///
/// [`Failed`] if it does not build, or imports anything else than it should.
pub(crate) fn one(kind: Kind) -> Result<Composed, Failed> {
    compose(kind, &components::orders()?, &components::adapter(kind.package())?)
}

fn compose(kind: Kind, component: &Path, adapter: &Path) -> Result<Composed, Failed> {
    let wrong = |what: &dyn std::fmt::Display| Failed(format!("{}: {what}", kind.file()));
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
    let path = target().join("components").join(kind.file());
    fs::write(&path, bytes).map_err(|error| failed(&path, &error))?;
    Ok(Composed { kind, path })
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
fn check(kind: Kind, imports: &BTreeSet<String>) -> Result<(), String> {
    let allowed: BTreeSet<_> = PROXY.iter().chain(kind.storage()).copied().collect();
    let beyond: Vec<_> = imports.iter().filter(|import| !allowed.contains(import.as_str())).collect();
    if !beyond.is_empty() {
        return Err(format!("it imports {beyond:?}"));
    }
    let missing = kind.storage().iter().find(|import| !imports.contains(**import));
    missing.map_or(Ok(()), |import| Err(format!("it does not import {import}")))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::{Kind, PROXY, check};
    use crate::workspace;

    const STORE: &str = "orders:state/store@0.1.0";

    #[test]
    fn only_standard_interfaces_of_the_versions_named_are_let_through() {
        let set = |names: &[&[&str]]| names.concat().into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        for kind in Kind::ALL {
            assert_eq!(check(kind, &set(&[&PROXY, kind.storage()])), Ok(()));
            for other in
                [STORE, "wasi:sockets/tcp@0.2.12", "wasi:io/poll@0.2.6", "wasi:keyvalue/batch@0.2.0-draft"]
            {
                assert!(check(kind, &set(&[&PROXY, kind.storage(), &[other]])).is_err(), "{other}");
            }
        }
        assert!(check(Kind::Spin, &set(&[&PROXY])).is_err(), "without its storage");
    }

    #[test]
    fn the_run_files_name_what_is_composed_and_what_it_imports() {
        let read = |name: &str| fs::read_to_string(workspace().join(name)).unwrap();
        let spin = read("examples/spin.toml");
        assert!(spin.contains(&format!("source = \"../target/dist/{}\"\n", Kind::Spin.file())));
        let wasmcloud = read("examples/wasmcloud.yaml");
        assert!(wasmcloud.contains(&format!("target/dist/{} ", Kind::Keyvalue.file())));
        let (_, keyvalue) = wasmcloud.split_once("package: keyvalue\n").unwrap();
        for import in Kind::Keyvalue.storage() {
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
        for named in
            [Kind::Memory.file(), Kind::Filesystem.file(), "examples/spin.toml", "examples/wasmcloud.yaml"]
        {
            assert!(running.contains(&format!(" {named}\n")), "{named}");
        }
    }
}
