//! `orders-host inspect`: what a component imports and exports, and whether this host can run it.

use crate::{
    commands::error::CommandError,
    config::InspectConfig,
    module::source::{Source, file_error},
    rollout::candidate::{CHECK_INSTANCES, link_and_instantiate},
    sandbox::engine,
};

/// Checks a component as `serve` does, without serving it, and prints the result. Returns whether this host can run it.
///
/// # Errors
///
/// [`CommandError::CouldNotRun`] if the file is not a component.
pub async fn run(config: &InspectConfig) -> Result<bool, CommandError> {
    let InspectConfig { component, max_memory, trust } = config;
    let max_memory = max_memory.bytes();
    let source = Source::read(component, trust).map_err(CommandError::could_not_run)?;
    let runtime = engine::start(CHECK_INSTANCES, max_memory, source.compiler(), None)
        .map_err(CommandError::CouldNotRun)?;
    let module = source
        .load(&runtime.engine)
        .map_err(|error| CommandError::could_not_run(file_error(component, &error)))?;
    let verdict = link_and_instantiate(&runtime, &module, max_memory).await;

    println!("component  {}", component.display());
    println!("sha256     {}", module.hash);
    println!("size       {} bytes", module.size);
    for (title, names) in [("imports", &module.imports), ("exports", &module.exports)] {
        println!("{title}");
        for name in names {
            println!("  {name}");
        }
    }
    match &verdict {
        Ok(_) => println!("this host can run it"),
        Err(why) => println!("this host cannot run it: {why}"),
    }
    Ok(verdict.is_ok())
}
