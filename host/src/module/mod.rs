//! Modules: a component, its origin, whether it is trusted, and its compiled code.
//!
//! | file | what it does |
//! |---|---|
//! | [`hash`] | the SHA-256 of a component, which identifies the module |
//! | [`component`] | a component that is checked, compiled and ready to link |
//! | [`file`](mod@file) | files that are written completely or not at all |
//! | `target` | which targets this host compiles for, and which it can load |
//! | `compiled_header` | the header of a compiled component's file |
//! | [`compiled`] | a component that was compiled ahead of time |
//! | [`keys`] | the keys that components are signed with, and their files |
//! | [`signature`] | the signature of a component: signing and verification |
//! | [`source`] | the file that `--component` names, or the bytes that an operator pushes |
//! | [`compiling`] | compiles a component in a child process |
//! | [`shelf`] | the module folder: modules that outlive the process, and which of them serves |

pub mod compiled;
mod compiled_header;
pub mod compiling;
pub mod component;
pub mod file;
pub mod hash;
pub mod keys;
pub mod shelf;
pub mod signature;
pub mod source;
mod target;
