//! `orders-host compile`: compiles a component ahead of time.

use std::{
    io::{self, Write},
    path::Path,
};

use crate::{
    commands::{error::CommandError, output::print},
    config::CompileConfig,
    module::{
        compiled::CompiledComponent,
        component::{Module, ModuleError},
        source::{self, STDIO_PATH},
    },
    rollout::candidate::{CHECK_INSTANCES, link_and_instantiate},
    sandbox::engine::{self, Compiler},
};

/// Compiles a component, tries it as `serve` does, writes the file and prints a summary.
///
/// # Errors
///
/// [`CommandError::CouldNotRun`] if the file is not a component, or cannot be compiled for this target;
/// [`CommandError::Failed`] if this host cannot run the component, or the file cannot be written.
pub async fn run(config: &CompileConfig) -> Result<(), CommandError> {
    let CompileConfig { component, output, untried, target, max_memory } = config;
    let refused = |error: ModuleError| CommandError::could_not_run(source::file_error(component, &error));
    let bytes = source::read_component(component).map_err(CommandError::could_not_run)?;
    let compiled = CompiledComponent::compile(&bytes, target.as_deref()).map_err(refused)?;

    if !untried {
        try_compiled(&compiled, &bytes, component, max_memory.bytes()).await?;
    }
    write(&compiled, component, output)
        .map_err(|error| CommandError::Failed(format!("cannot write {}: {error}", output.display())))?;
    // With `--output -`, standard output carries the code.
    if output != Path::new(STDIO_PATH) {
        let processor = if target.is_some() { "any processor" } else { "this machine's processor" };
        print(format_args!(
            "wrote {}: {} bytes, component {}, for {} and {processor}",
            output.display(),
            compiled.file().len(),
            compiled.hash,
            compiled.target
        ))?;
    }
    Ok(())
}

/// Tries the compiled code if it runs on this machine, otherwise the component compiled for this machine.
async fn try_compiled(
    compiled: &CompiledComponent,
    bytes: &[u8],
    component: &Path,
    max_memory: usize,
) -> Result<(), CommandError> {
    let compiler = if compiled.fits_machine() { Compiler::Off } else { Compiler::On };
    let runtime =
        engine::start(CHECK_INSTANCES, max_memory, compiler, None).map_err(CommandError::CouldNotRun)?;
    let module = match compiler {
        Compiler::Off => compiled.load(&runtime.engine),
        Compiler::On => Module::compile(&runtime.engine, bytes),
    };
    let module =
        module.map_err(|error| CommandError::could_not_run(source::file_error(component, &error)))?;
    let tried = link_and_instantiate(&runtime, &module, max_memory).await;
    tried.map(drop).map_err(|why| CommandError::Failed(source::file_error(component, &why).to_string()))
}

fn write(compiled: &CompiledComponent, component: &Path, output: &Path) -> io::Result<()> {
    if output == Path::new(STDIO_PATH) {
        let mut output = io::stdout().lock();
        return output.write_all(compiled.file()).and_then(|()| output.flush());
    }
    if output
        .canonicalize()
        .is_ok_and(|output| component.canonicalize().is_ok_and(|component| component == output))
    {
        return Err(io::Error::other("it is the component itself; choose another file"));
    }
    compiled.write(output)
}
