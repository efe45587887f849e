//! Compiles a component in a child process.
//!
//! So the serving process never spends memory on a compiler, and a component that crashes or subverts the compiler cannot
//! harm the requests in flight. The child runs this same program, `orders-host compile`, at a low priority and with limits
//! on its time and memory. It receives the component through one pipe and returns the code through another: no other
//! process can reach either pipe, and no writable folder is needed.

use std::{
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    thread,
};

use rustix::process::{Pid, Resource, Rlimit, prlimit, setpriority_process};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    config::{ChecksConfig, Trusted},
    module::{
        compiled::CompiledComponent,
        component::{ModuleError, check_header},
        hash::ModuleHash,
        source::{MAX_COMPILED_BYTES, STDIO_PATH},
    },
};

/// The running program, even if its file has been replaced since.
const PROGRAM: &str = "/proc/self/exe";
/// The compiler's niceness: half of the possible range (setpriority(2)).
const NICENESS: i32 = 10;
/// Maximum number of bytes of the compiler's standard error that are reported.
const MAX_STDERR_BYTES: u64 = 2048;
/// Stops the allocator from committing 1 GiB at the start, all of which would count against the memory limit.
const ALLOCATOR_VARIABLE: (&str, &str) = ("MIMALLOC_ARENA_EAGER_COMMIT", "0");
/// The text on standard error after a failed allocation.
const OUT_OF_MEMORY: &str = "out of memory";

/// Compiles the component with this hash, for this machine's own processor.
///
/// # Errors
///
/// [`ModuleError`] if it is not a valid component, or needs more time or memory than `limits` allow. The child has ended by
/// then. It is also killed if the future is dropped.
pub async fn compile(
    component: &[u8],
    hash: ModuleHash,
    limits: &ChecksConfig,
) -> Result<CompiledComponent, ModuleError> {
    check_header(component).map_err(ModuleError)?;
    let mut child =
        start(limits).map_err(|error| ModuleError(format!("cannot start the compiler: {error}")))?;
    let output = timeout(limits.compile_timeout.0, exchange(&mut child, component)).await;
    let Ok(output) = output else {
        // Dropping it would kill it too; waiting for it leaves no zombie.
        let _ = child.kill().await;
        return Err(ModuleError(format!(
            "compiling took longer than {}; --compile-timeout raises this limit",
            limits.compile_timeout
        )));
    };
    let Output { status, code, stderr } =
        output.map_err(|error| ModuleError(format!("the connection to the compiler failed: {error}")))?;
    if !status.success() {
        return Err(ModuleError(failure_message(status, &stderr, limits)));
    }
    let checked = tokio::task::spawn_blocking(|| {
        CompiledComponent::from_trusted_file(code, Trusted::compiled_by_ourselves())
    });
    match checked.await {
        Ok(Ok(compiled)) if compiled.hash == hash => Ok(compiled),
        Ok(Ok(compiled)) => Err(ModuleError(format!(
            "the compiler returned the code of another component: {}",
            compiled.hash
        ))),
        Ok(Err(why)) => Err(ModuleError(format!("the compiler's output cannot be loaded: {why}"))),
        Err(error) => Err(ModuleError(format!("the compiler's output could not be checked: {error}"))),
    }
}

/// Starts the compiler. It waits for its input, so its limits are in force before it begins.
fn start(limits: &ChecksConfig) -> std::io::Result<Child> {
    let child = Command::new(PROGRAM)
        .arg0("orders-host")
        .args(["compile", STDIO_PATH, "--output", STDIO_PATH, "--untried"])
        .env_clear()
        .env(ALLOCATOR_VARIABLE.0, ALLOCATOR_VARIABLE.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A terminal sends signals to the foreground group; the compiler must not receive them.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let id = id.ok_or_else(|| std::io::Error::other("it ended immediately"))?;
    // Limits its writable memory. A limit on the address space would also count the large ranges that it only reserves.
    let memory = u64::try_from(limits.compile_memory.bytes()).ok();
    prlimit(Some(id), Resource::Data, Rlimit { current: memory, maximum: memory })?;
    // Ends it even if this process is killed first.
    let threads = thread::available_parallelism().map_or(1, |count| u64::try_from(count.get()).unwrap_or(1));
    let seconds = limits.compile_timeout.0.as_secs().saturating_add(1).saturating_mul(threads);
    prlimit(Some(id), Resource::Cpu, Rlimit { current: Some(seconds), maximum: Some(seconds) })?;
    setpriority_process(Some(id), NICENESS)?;
    Ok(child)
}

/// The compiler's exit status and output.
struct Output {
    status: ExitStatus,
    /// Its standard output: the file of the compiled component.
    code: Vec<u8>,
    stderr: String,
}

/// Sends the component to the compiler, reads what it writes, and waits for its end.
async fn exchange(child: &mut Child, component: &[u8]) -> std::io::Result<Output> {
    let stdin = child.stdin.take();
    let send = async {
        if let Some(mut stdin) = stdin {
            // A compiler that ends before it has read everything gives the reason on standard error.
            let _ = stdin.write_all(component).await;
        }
    };
    let code = read(child.stdout.take(), MAX_COMPILED_BYTES);
    let stderr = read(child.stderr.take(), MAX_STDERR_BYTES);
    let ((), code, stderr) = tokio::join!(send, code, stderr);
    let (code, stderr) = (code?, String::from_utf8_lossy(&stderr?).into_owned());
    Ok(Output { status: child.wait().await?, code, stderr })
}

/// Reads to the end, or until there is more than `limit`; then the pipe is closed.
async fn read(pipe: Option<impl AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit.saturating_add(1)).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Why the compiler returned no code: its own message, if it exited normally and not for lack of memory.
fn failure_message(status: ExitStatus, stderr: &str, limits: &ChecksConfig) -> String {
    let line = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = line.strip_prefix("orders-host: ").unwrap_or(&line);
    let message = message.strip_prefix("component -: ").unwrap_or(message);
    let exited_normally = status.code().is_some_and(|code| code <= 2) && !message.is_empty();
    if exited_normally && !message.contains(OUT_OF_MEMORY) {
        return message.to_owned();
    }
    let end = match status.signal() {
        Some(signal) => format!("ended by signal {signal}"),
        None => status.to_string(),
    };
    format!(
        "the compiler failed ({end}), possibly because it ran out of memory; --compile-memory allows {}: {message}",
        limits.compile_memory
    )
}
