//! `orders-host inspect`: what a component imports and exports, and whether this host can run it.

use crate::{
    commands::{error::CommandError, output::print},
    config::InspectConfig,
    module::source::{Source, file_error},
    rollout::candidate::{CHECK_INSTANCES, link_and_instantiate},
    sandbox::engine,
};

/// Checks a component as `serve` does, without serving it, and prints the result. Returns whether this host can run it.
///
/// # Errors
///
/// [`CommandError::CouldNotRun`] if the file is not a component, [`CommandError::Failed`] if the result cannot be printed.
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

    let mut lines = vec![
        format!("component  {}", component.display()),
        format!("sha256     {}", module.hash),
        format!("size       {} bytes", module.size),
    ];
    for (title, names) in [("imports", &module.imports), ("exports", &module.exports)] {
        lines.push(title.to_owned());
        lines.extend(names.iter().map(|name| format!("  {name}")));
    }
    lines.push(match &verdict {
        Ok(_) => "this host can run it".to_owned(),
        Err(why) => format!("this host cannot run it: {why}"),
    });
    print(lines.join("\n"))?;
    Ok(verdict.is_ok())
}
