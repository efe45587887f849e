//! What does not stay in the folder: old modules.

use std::{
    fs,
    io::{self, ErrorKind},
};

use super::{
    folder::Shelf,
    names::{COMPILED, COMPONENT, REMOVING, refused},
};
use crate::{
    lifecycle::fault,
    module::{file, hash::ModuleHash},
};

impl Shelf {
    /// Removes all but the newest modules; never the active one, nor those `in_use`. If that fails they remain, and the
    /// log says why.
    pub fn retain(&self, in_use: &[ModuleHash]) {
        let _changing = self.changing();
        let removed = self.active().and_then(|active| {
            let needed = |module| in_use.contains(&module) || active.is_some_and(|it| it.module == module);
            let old = self.list()?.into_iter().skip(self.keep).map(|stored| stored.module);
            self.remove(&old.filter(|module| !needed(*module)).collect::<Vec<_>>())
                .map_err(|error| refused("module folder", &self.folder, &error))
        });
        if let Err(why) = removed {
            tracing::warn!(%why, "old modules remain in the module folder");
        }
    }

    fn remove(&self, modules: &[ModuleHash]) -> io::Result<()> {
        let [code_removed, component_removed, stored] = REMOVING;
        for module in modules {
            // The code first: it is of no use without its component.
            match fs::remove_file(self.path(*module, COMPILED)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => fault::point(code_removed),
            }
            fs::remove_file(self.path(*module, COMPONENT))?;
            fault::point(component_removed);
            tracing::info!(%module, "removed from the module folder");
        }
        if !modules.is_empty() {
            file::sync_folder(&self.folder)?;
            fault::point(stored);
        }
        Ok(())
    }
}
