//! Helpers that the tests share.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use orders_host::module::{
    compiled::CompiledComponent,
    hash::ModuleHash,
    shelf::{ActiveModule, Shelf},
};

/// How many modules are kept, unless a test says otherwise.
pub(crate) const KEEP: usize = 5;

/// A user other than the one that runs the tests.
pub(crate) const ANOTHER_USER: u32 = 54_321;

/// A valid component that does nothing, with a section that distinguishes it from others.
pub(crate) fn component(name: u8) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0".as_slice(), &[0, 2, 1, name]].concat()
}

/// A component of this size or larger.
pub(crate) fn large_component(size: usize) -> Vec<u8> {
    // Sections of 127 bytes: the largest size that takes one byte.
    let section = [[0, 127, 1, b'x'].as_slice(), &[7; 125]].concat();
    [component(b'l'), section.repeat(size.div_ceil(section.len()))].concat()
}

pub(crate) fn compile(component: &[u8]) -> CompiledComponent {
    CompiledComponent::compile(component, None).unwrap()
}

pub(crate) fn open(folder: &Path) -> Shelf {
    Shelf::open(folder, KEEP).unwrap()
}

/// The error of opening a folder: one line, with its name.
pub(crate) fn rejection(folder: &Path) -> String {
    let error = Shelf::open(folder, KEEP).unwrap_err();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains(folder.to_str().unwrap()), "{error}");
    error
}

pub(crate) fn active(module: ModuleHash) -> ActiveModule {
    ActiveModule { module, component: ModuleHash::digest(b"what --component named") }
}

/// The names of the files in a folder.
pub(crate) fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Makes a file this old.
pub(crate) fn age(path: &Path, seconds: u64) {
    let time = SystemTime::now() - Duration::from_secs(seconds);
    File::open(path).unwrap().set_modified(time).unwrap();
}

/// Runs a function, and returns its result and what it logged.
pub(crate) fn logged<T>(act: impl FnOnce() -> T) -> (T, String) {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let result = tracing::subscriber::with_default(log, act);
    let bytes = lines.0.lock().unwrap().clone();
    (result, String::from_utf8(bytes).unwrap())
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
