//! The sources of a module: other languages, signatures, ahead-of-time compilation, and the module folder.

pub mod ahead_of_time;
pub mod component;
pub mod languages;
pub mod module_dir;
pub mod signing;
