//! Compiles a component in a process of its own.
//!
//! So this process never holds a compiler's memory, and neither a crash of the compiler nor anything that a component
//! makes it do harms what is served. The process is this same program, `orders-host compile`, at a low priority, with a
//! bound on its time and on its memory. It gets the component through one pipe and gives the code through another:
//! nobody else can reach either, and no place to write to is needed.

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
        compiled::Compiled,
        component::{ModuleError, check_header},
        hash::ModuleHash,
        source::{MAX_COMPILED_BYTES, STANDARD},
    },
};

/// The program that runs now, even if another one has taken its place on the disk since.
const PROGRAM: &str = "/proc/self/exe";
/// How much the compiler gives way to others: half of what there is (setpriority(2)).
const NICENESS: i32 = 10;
/// Most bytes of the compiler's own words that are repeated.
const MAX_WORDS: u64 = 2048;
/// Otherwise the allocator begins with 1 GiB, of which it may use any part: all of it would count.
const ALLOCATOR: (&str, &str) = ("MIMALLOC_ARENA_EAGER_COMMIT", "0");
/// What is said where memory could not be had and that was noticed.
const OUT_OF_MEMORY: &str = "out of memory";

/// Compiles the component of this hash, for this machine's own processor.
///
/// # Errors
///
/// [`ModuleError`] if it is no valid component, or needs more time or memory than `bounds` allow. The process has ended
/// then; it also ends if nobody waits for it any more.
pub async fn compile(
    component: &[u8],
    hash: ModuleHash,
    bounds: &ChecksConfig,
) -> Result<Compiled, ModuleError> {
    check_header(component).map_err(ModuleError)?;
    let mut child = start(bounds).map_err(|error| ModuleError(format!("no compiler can be run: {error}")))?;
    let ended = timeout(bounds.compile_timeout.0, converse(&mut child, component)).await;
    let Ok(ended) = ended else {
        // It is killed either way; waiting for it leaves no zombie.
        let _ = child.kill().await;
        return Err(ModuleError(format!(
            "compiling took longer than {}; --compile-timeout allows for more",
            bounds.compile_timeout
        )));
    };
    let Conversation { status, code, words } =
        ended.map_err(|error| ModuleError(format!("its compiler was lost: {error}")))?;
    if !status.success() {
        return Err(ModuleError(refusal(status, &words, bounds)));
    }
    let checked = tokio::task::spawn_blocking(|| Compiled::check(code, Trusted::compiled_by_ourselves()));
    match checked.await {
        Ok(Ok(compiled)) if compiled.hash == hash => Ok(compiled),
        Ok(Ok(compiled)) => {
            Err(ModuleError(format!("its compiler has compiled something else: {}", compiled.hash)))
        }
        Ok(Err(why)) => Err(ModuleError(format!("its compiler gave what cannot be loaded: {why}"))),
        Err(error) => Err(ModuleError(format!("what its compiler gave was not checked: {error}"))),
    }
}

/// Starts the compiler. It waits for its input, so that its bounds hold before it begins.
fn start(bounds: &ChecksConfig) -> std::io::Result<Child> {
    let child = Command::new(PROGRAM)
        .arg0("orders-host")
        .args(["compile", STANDARD, "--output", STANDARD, "--untried"])
        .env_clear()
        .env(ALLOCATOR.0, ALLOCATOR.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // What a terminal sends to the whole group is not meant for it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let id = id.ok_or_else(|| std::io::Error::other("it has ended at once"))?;
    // What it can write to. The address space that it only reserves is not counted, and a great deal of it.
    let memory = u64::try_from(bounds.compile_memory.bytes()).ok();
    prlimit(Some(id), Resource::Data, Rlimit { current: memory, maximum: memory })?;
    // So that it ends even if this process is killed before it.
    let threads = thread::available_parallelism().map_or(1, |count| u64::try_from(count.get()).unwrap_or(1));
    let seconds = bounds.compile_timeout.0.as_secs().saturating_add(1).saturating_mul(threads);
    prlimit(Some(id), Resource::Cpu, Rlimit { current: Some(seconds), maximum: Some(seconds) })?;
    setpriority_process(Some(id), NICENESS)?;
    Ok(child)
}

/// What came of a process.
struct Conversation {
    status: ExitStatus,
    /// What it wrote to its standard output.
    code: Vec<u8>,
    /// What it said on standard error.
    words: String,
}

async fn converse(child: &mut Child, component: &[u8]) -> std::io::Result<Conversation> {
    let stdin = child.stdin.take();
    let give = async {
        if let Some(mut stdin) = stdin {
            // One that ends before it has read everything says why itself.
            let _ = stdin.write_all(component).await;
        }
    };
    let code = read(child.stdout.take(), MAX_COMPILED_BYTES);
    let words = read(child.stderr.take(), MAX_WORDS);
    let ((), code, words) = tokio::join!(give, code, words);
    let (code, words) = (code?, String::from_utf8_lossy(&words?).into_owned());
    Ok(Conversation { status: child.wait().await?, code, words })
}

/// Reads until the end, or until there is more than `limit`: the other side then finds the pipe closed.
async fn read(pipe: Option<impl AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit.saturating_add(1)).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Why the compiler gave nothing: in its own words, if it has ended in order and not for want of memory.
fn refusal(status: ExitStatus, words: &str, bounds: &ChecksConfig) -> String {
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let own = words.strip_prefix("orders-host: ").unwrap_or(&words);
    let own = own.strip_prefix("component -: ").unwrap_or(own);
    let in_order = status.code().is_some_and(|code| code <= 2) && !own.is_empty();
    if in_order && !own.contains(OUT_OF_MEMORY) {
        return own.to_owned();
    }
    let how = match status.signal() {
        Some(signal) => format!("ended by signal {signal}"),
        None => status.to_string(),
    };
    format!(
        "its compiler broke off ({how}), perhaps for want of memory, of which --compile-memory allows it {}: {own}",
        bounds.compile_memory
    )
}
