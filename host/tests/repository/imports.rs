//! Imports go in one direction, between the layers (folders) of a crate and between the files of a layer.
//!
//! The table in the first comment of `lib.rs` and of each `mod.rs` is the order: a module imports only modules above it. The
//! test also keeps each table complete, and rules out cycles.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, Item, UseTree,
    visit::{self, Visit},
};

use crate::repository;

/// Crates whose modules are ordered by tables.
const ORDERED: [&str; 2] = ["guest/src", "host/src"];

/// A module: the names on the path from the crate's root to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Module(Vec<String>);

impl Module {
    fn file(&self, root: &Path) -> Option<PathBuf> {
        let path = self.0.iter().fold(root.to_owned(), |path, name| path.join(name));
        [path.with_extension("rs"), path.join("mod.rs")].into_iter().find(|file| file.is_file())
    }

    fn child(&self, name: &str) -> Self {
        Self(self.0.iter().cloned().chain([name.to_owned()]).collect())
    }

    fn name(&self) -> String {
        if self.0.is_empty() { "the crate's root".to_owned() } else { self.0.join("/") }
    }
}

/// The modules in a table, in order: the rows that start with a name in backticks.
fn table(source: &str) -> Vec<String> {
    let rows = source.lines().take_while(|line| line.starts_with("//!"));
    let names = rows.filter_map(|row| {
        let cell = row.strip_prefix("//! | ")?.split(" | ").next()?;
        let name = cell.trim_start_matches('[').strip_prefix('`')?.split('`').next()?;
        name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_').then(|| name.to_owned())
    });
    names.collect()
}

/// The modules that lie directly in a folder.
fn children(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let modules = entries.filter(|path| {
        path.join("mod.rs").is_file() || path.extension().is_some_and(|extension| extension == "rs")
    });
    let names = modules.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    names.filter(|name| !matches!(name.as_str(), "lib" | "main" | "mod" | "tests")).collect()
}

/// Every path in the code that starts at `crate`, `self` or `super`, except in tests, which may import anything.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl Paths {
    fn parse(source: &str) -> Vec<Vec<String>> {
        let mut paths = Self::default();
        paths.visit_file(&syn::parse_file(source).unwrap());
        paths.0.retain(|path| matches!(path[0].as_str(), "crate" | "self" | "super"));
        paths.0
    }

    fn use_tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: String| before.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.use_tree(&path.tree, &with(path.ident.to_string())),
            UseTree::Name(name) => self.0.push(with(name.ident.to_string())),
            UseTree::Rename(name) => self.0.push(with(name.ident.to_string())),
            UseTree::Glob(_) => self.0.push(before.to_vec()),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.use_tree(item, before)),
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|it| it == "test")
    })
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Use(item) => self.use_tree(&item.tree, &[]),
            Item::Mod(item) if is_for_tests(&item.attrs) => {}
            item => visit::visit_item(self, item),
        }
    }

    /// `pub(super)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

/// The module that a path names when it is used in `from`: the longest part of the path that consists of modules.
fn resolve(path: &[String], from: &Module, root: &Path) -> Module {
    let mut module = Module(Vec::new());
    for (place, name) in path.iter().enumerate() {
        match name.as_str() {
            "crate" => module = Module(Vec::new()),
            "self" if place == 0 => module = from.clone(),
            "super" => {
                let inner = if place == 0 { from } else { &module };
                module = Module(inner.0[..inner.0.len().saturating_sub(1)].to_vec());
            }
            name => match module.child(name) {
                child if child.file(root).is_some() => module = child,
                _ => break,
            },
        }
    }
    module
}

/// This module and all modules below it.
fn modules(module: &Module, root: &Path) -> Vec<Module> {
    let folder = module.0.iter().fold(root.to_owned(), |path, name| path.join(name));
    let mut all = vec![module.clone()];
    if folder.is_dir() {
        all.extend(children(&folder).iter().flat_map(|name| modules(&module.child(name), root)));
    }
    all
}

/// For each folder, its modules, each with the modules of the same folder that it imports.
type Imports = BTreeMap<Module, BTreeMap<String, BTreeSet<String>>>;

fn imports(root: &Path) -> Imports {
    let mut imports = Imports::new();
    for module in modules(&Module(Vec::new()), root).into_iter().filter(|module| !module.0.is_empty()) {
        let source = fs::read_to_string(module.file(root).unwrap()).unwrap();
        for path in Paths::parse(&source) {
            let imported = resolve(&path, &module, root);
            let shared = module.0.iter().zip(&imported.0).take_while(|(one, other)| one == other).count();
            // A folder's `mod.rs` may import everything in the folder.
            let Some(importing) = module.0.get(shared) else { continue };
            let folder = Module(module.0[..shared].to_vec());
            assert!(
                imported.0.len() > shared || folder.0.is_empty(),
                "{} imports from the mod.rs of its folder, {path:?}: name the file",
                module.name()
            );
            let Some(imported) = imported.0.get(shared) else { continue };
            let beside = imports.entry(folder).or_default().entry(importing.clone()).or_default();
            beside.insert(imported.clone());
        }
    }
    imports
}

/// The order of the modules in a folder, from its table, which must list exactly these modules.
fn module_order(folder: &Module, root: &Path) -> Vec<String> {
    let file = if folder.0.is_empty() { Some(root.join("lib.rs")) } else { folder.file(root) };
    let order = table(&fs::read_to_string(file.unwrap()).unwrap());
    let path = folder.0.iter().fold(root.to_owned(), |path, name| path.join(name));
    let mut listed = order.clone();
    listed.sort();
    let found: Vec<_> = children(&path).into_iter().collect();
    assert_eq!(listed, found, "the table of {} lists its modules", folder.name());
    order
}

#[test]
fn a_module_imports_only_modules_above_it() {
    for root in ORDERED.map(|root| repository().join(root)) {
        let imports = imports(&root);
        for folder in modules(&Module(Vec::new()), &root) {
            if !folder.0.iter().fold(root.clone(), |path, name| path.join(name)).is_dir() {
                continue;
            }
            let order = module_order(&folder, &root);
            let place = |name: &str| order.iter().position(|listed| listed == name);
            for (importing, imported) in imports.get(&folder).into_iter().flatten() {
                for imported in imported {
                    assert!(
                        place(imported) < place(importing),
                        "{}: {importing} imports {imported}, which is below it",
                        folder.name()
                    );
                }
            }
            if folder.0.is_empty() {
                print_layers(&order, &imports[&folder]);
            }
        }
    }
}

/// Shown by `cargo test -p orders-host --test repository imports -- --nocapture`.
fn print_layers(order: &[String], imports: &BTreeMap<String, BTreeSet<String>>) {
    for layer in order {
        let imported =
            order.iter().filter(|other| imports.get(layer).is_some_and(|all| all.contains(*other)));
        println!("{layer:>10} -> {}", imported.map(String::as_str).collect::<Vec<_>>().join(", "));
    }
}

#[test]
fn every_form_of_import_is_found() {
    let source = "
        use crate::{guest::{Failure, Guest}, store::{self, Store as _}};
        use super::super::config::*;
        pub(super) fn f() -> crate::limits::Limits { self::inner::call(); std::mem::drop(()) }
        #[cfg(test)]
        mod tests { use super::*; }
    ";
    let mut paths: Vec<_> = Paths::parse(source).into_iter().map(|path| path.join("::")).collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "crate::guest::Failure",
            "crate::guest::Guest",
            "crate::limits::Limits",
            "crate::store::Store",
            "crate::store::self",
            "self::inner::call",
            "super::super::config",
        ]
    );
}

#[test]
fn a_table_is_read_row_by_row() {
    let source = "//! A layer.\n//!\n//! | file | what it does |\n//! |---|---|\n//! | `one` | first |\n\
                  //! | [`two`](mod@two) | second |\n//! | `GET /` | no module |\n\nmod one;\n//! | `three` | late |\n";
    assert_eq!(table(source), ["one", "two"]);
}
