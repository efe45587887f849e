//! Finds a module by the first digits of its hash.

use crate::{admin::Overview, commands::error::CommandError, config::HashPrefix, module::hash::ModuleHash};

/// The one module whose hash begins with this prefix.
pub(super) fn find_module(overview: &Overview, prefix: &HashPrefix) -> Result<ModuleHash, CommandError> {
    let HashPrefix(prefix) = prefix;
    let modules = overview.modules.iter().map(|view| view.record.module);
    let matching: Vec<_> = modules.filter(|module| module.to_string().starts_with(prefix)).collect();
    match matching.as_slice() {
        [module] => Ok(*module),
        [] => Err(CommandError::Failed(format!(
            "no known module has a hash that begins with {prefix}: `orders-host module list` shows the known modules"
        ))),
        several => {
            let several: Vec<_> = several.iter().map(ModuleHash::short).collect();
            Err(CommandError::Failed(format!(
                "{prefix} matches several modules ({}): give more digits",
                several.join(", ")
            )))
        }
    }
}
