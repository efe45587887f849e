//! `orders-host`: arguments, log, runtime, exit code.

use std::{io::IsTerminal, path::Path, process::ExitCode};

use clap::Parser;
use orders_host::{
    app::{self, Ending},
    config::{
        Cli, Command, CompileConfig, InspectConfig, LogConfig, LogFormat, ModuleCommand, ServeConfig,
        StateCommand,
    },
    healthcheck,
    operator::{self, Trouble},
    signing::{self, SigningError},
    source::STANDARD,
    transfer,
};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// What was asked for did not come out well: a request was cut, the service is not healthy, the component
/// would not run.
const FAILED: u8 = 1;
/// What was asked for could not be begun.
const NOT_STARTED: u8 = 2;

/// Several threads allocate and free for every request: 8 to 19 % more creates a second than with the allocator of glibc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return complain(&summary(&error), NOT_STARTED),
        Err(help) => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    // Accepts connections, and waits for signals: what serves them has threads of its own.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("cannot start the runtime: {error}"), NOT_STARTED),
    };
    let code = match cli.command {
        Command::Serve(config) => runtime.block_on(serve(*config)),
        Command::Healthcheck(config) => match runtime.block_on(healthcheck::run(&config)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => complain(&why, FAILED),
        },
        Command::Inspect(config) => runtime.block_on(inspect(&config)),
        Command::Compile(config) => runtime.block_on(compile(&config)),
        Command::Module(command) => runtime.block_on(module(&command)),
        Command::State(command) => runtime.block_on(state(&command)),
    };
    // What is still running was cut deliberately: there is nothing to wait for.
    runtime.shutdown_background();
    code
}

async fn serve(config: ServeConfig) -> ExitCode {
    let _flushed_when_dropped = log_to_stdout(&config.log);
    match app::serve(config).await {
        Ok(Ending::Orderly) => ExitCode::SUCCESS,
        Ok(Ending::Cut) => ExitCode::from(FAILED),
        Err(error) => complain(&error.to_string(), NOT_STARTED),
    }
}

async fn inspect(config: &InspectConfig) -> ExitCode {
    let (module, verdict) = match app::inspect(config).await {
        Ok(inspected) => inspected,
        Err(error) => return complain(&error.to_string(), NOT_STARTED),
    };
    println!("component  {}", config.component.display());
    println!("sha256     {}", module.hash);
    println!("size       {} bytes", module.size);
    for (title, names) in [("imports", &module.imports), ("exports", &module.exports)] {
        println!("{title}");
        for name in names {
            println!("  {name}");
        }
    }
    match verdict {
        Ok(()) => {
            println!("this host would run it");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("this host would not run it: {why}");
            ExitCode::from(FAILED)
        }
    }
}

async fn compile(config: &CompileConfig) -> ExitCode {
    match app::compile(config).await {
        Ok(Ok(_)) if config.output == Path::new(STANDARD) => ExitCode::SUCCESS,
        Ok(Ok(compiled)) => {
            let processor =
                if config.target.is_some() { "any processor" } else { "this machine's processor" };
            println!(
                "wrote {}: {} bytes, component {}, for {} and {processor}",
                config.output.display(),
                compiled.file().len(),
                compiled.hash,
                compiled.target
            );
            ExitCode::SUCCESS
        }
        Ok(Err(why)) => complain(&why, FAILED),
        Err(error) => complain(&error.to_string(), NOT_STARTED),
    }
}

async fn module(command: &ModuleCommand) -> ExitCode {
    match command {
        ModuleCommand::Push(config) => operated(operator::push(config).await),
        ModuleCommand::List(config) => operated(operator::list(config).await),
        ModuleCommand::Status(config) => operated(operator::status(config).await),
        ModuleCommand::Rollback(config) => operated(operator::rollback(config).await),
        ModuleCommand::Keygen(config) => signed(signing::keygen(config).map(|key| {
            let (secret, public) = (config.secret.display(), config.public.display());
            format!("wrote {secret}, to be kept secret, and {public}: {key}")
        })),
        ModuleCommand::Sign(config) => signed(signing::sign(config).map(|key| {
            let output = config.output.as_ref().unwrap_or(&config.component);
            format!("wrote {}: signed by {key}", output.display())
        })),
        ModuleCommand::Verify(config) => signed(
            signing::verify(config).map(|key| format!("{} is signed by {key}", config.component.display())),
        ),
    }
}

fn operated(done: Result<(), Trouble>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::Refused(why)) => complain(&why, FAILED),
        Err(Trouble::NotAsked(why)) => complain(&why, NOT_STARTED),
    }
}

fn signed(done: Result<String, SigningError>) -> ExitCode {
    match done {
        Ok(what) => {
            println!("{what}");
            ExitCode::SUCCESS
        }
        Err(SigningError::Failed(why)) => complain(&why, FAILED),
        Err(SigningError::Unreadable(why)) => complain(&why, NOT_STARTED),
    }
}

async fn state(command: &StateCommand) -> ExitCode {
    let (done, standard_output) = match command {
        StateCommand::Export(config) => {
            (transfer::export(config).await, config.output == Path::new(STANDARD))
        }
        StateCommand::Import(config) => (transfer::import(config).await, false),
    };
    match done {
        // Standard output may have the state itself.
        Ok(summary) if standard_output => eprintln!("{summary}"),
        Ok(summary) => println!("{summary}"),
        Err(transfer::Trouble::Incomplete(why)) => return complain(&why, FAILED),
        Err(transfer::Trouble::NotBegun(why)) => return complain(&why, NOT_STARTED),
    }
    ExitCode::SUCCESS
}

/// Lines that wait for standard output. Beyond it they are dropped: a log that nobody reads must not stop the
/// service.
const LOG_LINES: usize = 10_000;

fn log_to_stdout(config: &LogConfig) -> WorkerGuard {
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LOG_LINES).finish(std::io::stdout());
    let text = match config.log_format {
        LogFormat::Auto => std::io::stdout().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(std::io::stdout().is_terminal()).with_writer(writer);
    let layer =
        if text { lines.boxed() } else { lines.json().flatten_event(true).with_current_span(false).boxed() };
    tracing_subscriber::registry().with(layer.with_filter(config.log.clone())).init();
    guard
}

fn complain(what: &str, code: u8) -> ExitCode {
    eprintln!("orders-host: {what}");
    ExitCode::from(code)
}

/// What clap has to say, on one line: its first paragraph, and what it thinks was meant.
fn summary(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = one_line(text.split("\n\n").next().unwrap_or_default());
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: ")).map(one_line);
    let tip = tip.map(|tip| format!("; {tip}")).unwrap_or_default();
    // The usage names the command that was given: `Usage: orders-host state import [OPTIONS]`.
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or("orders-host");
    let is_name = |word: &&str| word.starts_with(|first: char| first.is_ascii_lowercase());
    let command = usage.split_whitespace().take_while(is_name).collect::<Vec<_>>().join(" ");
    format!("{what}{tip}; see `{command} --help`")
}
