//! tmp
use clap::Args;

use crate::{command::Failed, components, compose};

/// What to run.
#[derive(Args)]
pub(crate) struct Options {}

pub(crate) fn run(_options: &Options) -> Result<(), Failed> {
    components::orders()?;
    for composed in compose::all()? {
        println!("{} {:?}", composed.path.display(), composed.imports);
    }
    Ok(())
}
