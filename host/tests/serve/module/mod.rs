//! Where a component comes from: languages, signatures, compiled code, the module folder.

pub mod ahead_of_time;
pub mod component;
pub mod languages;
pub mod module_dir;
pub mod signing;
