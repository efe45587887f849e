//! Removes old modules from the folder.

use std::{
    fs,
    io::{self, ErrorKind},
};

use super::{
    folder::Shelf,
    names::{COMPILED_SUFFIX, COMPONENT_SUFFIX, REMOVAL_POINTS, file_error},
};
use crate::{
    lifecycle::fault,
    module::{file, hash::ModuleHash},
};

impl Shelf {
    /// Removes all modules but the newest, the active one, and those `in_use`. A failure is logged, and the modules remain. A folder that was
    /// released is left as it is.
    pub fn remove_old(&self, in_use: &[ModuleHash]) {
        let Ok(_lock) = self.lock_changes() else {
            return;
        };
        let removed = self.active().and_then(|active| {
            let needed =
                |module| in_use.contains(&module) || active.is_some_and(|active| active.module == module);
            let old = self.list()?.into_iter().skip(self.keep).map(|stored| stored.module);
            self.remove(&old.filter(|module| !needed(*module)).collect::<Vec<_>>())
                .map_err(|error| file_error("module folder", &self.folder, &error))
        });
        if let Err(why) = removed {
            tracing::warn!(event = "module.removal_failed", %why, "cannot remove old modules from the module folder");
        }
    }

    fn remove(&self, modules: &[ModuleHash]) -> io::Result<()> {
        let [code_removed, component_removed, stored] = REMOVAL_POINTS;
        for module in modules {
            // The code goes first, because it is useless without its component.
            match fs::remove_file(self.path(*module, COMPILED_SUFFIX)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => fault::point(code_removed),
            }
            fs::remove_file(self.path(*module, COMPONENT_SUFFIX))?;
            fault::point(component_removed);
            tracing::info!(event = "module.removed", %module, "removed from the module folder");
        }
        if !modules.is_empty() {
            file::sync_folder(&self.folder)?;
            fault::point(stored);
        }
        Ok(())
    }
}
