//! A temporary PostgreSQL server for measurements and for the roll-out. It ends with this process. Unlike the tests' server
//! (`host/tests/support`) it is durable, as a server is by default.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    os::unix::{fs::chown, process::CommandExt},
    path::PathBuf,
    process::{Child, ChildStderr, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, getuid, kill_process};

use xtask::command::{TaskError, capture, file_error, output, pause};

/// How long a server may take to start, and its clients to disconnect: far longer than they need.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The server counts the calls that it executes.
const SETTINGS: [&str; 4] = ["-c", "shared_preload_libraries=pg_stat_statements", "-c", "track_functions=pl"];
/// The database of the contender.
const DATABASE: &str = "orders";
/// The password for connections over the network. The data is temporary, and the network is local to this machine.
const PASSWORD: &str = "image-test";
/// `pg_hba.conf`: all may connect over the socket, and with the password from the server's own network.
const ACCESS: &str = "local all all trust\nhost all all samenet scram-sha-256\n";

/// A shell script that runs the server until its standard input ends, which happens at the latest when this process ends, and
/// then removes the folder; a line on standard input keeps the folder. A frozen server has to be thawed to end.
const SUPERVISOR: &str = r#"folder=$1; shift; "$@" <&- & server=$!; read -r keep
    kill -QUIT $server 2>/dev/null; kill -CONT $server 2>/dev/null; wait $server
    test -n "$keep" || rm -rf "$folder""#;

/// A server that can be stopped and started.
pub struct Server {
    folder: PathBuf,
    programs: PathBuf,
    /// The user and group that it runs as: it refuses to run as root.
    user: Option<(u32, u32)>,
    /// The address that it listens on in addition to its socket.
    address: Option<Ipv4Addr>,
    running: Option<Running>,
}

/// The shell that supervises the server, and the pipe to it.
struct Running {
    shell: Child,
    alive: Option<ChildStdin>,
}

impl Server {
    /// Starts a server that listens on its socket, and with a password on an address of this machine if there is one.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if PostgreSQL is not installed, or does not start.
    pub fn start(address: Option<Ipv4Addr>) -> Result<Self, TaskError> {
        let missing =
            || TaskError("PostgreSQL is missing; `./dev test` installs it on Debian and Ubuntu".to_owned());
        let programs = programs().ok_or_else(missing)?;
        let folder = env::temp_dir().join(format!("orders-postgres-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| file_error(&folder, &error))?;
        let mut server = Self { folder, programs, user: unprivileged_user()?, address, running: None };
        if let Some((user, group)) = server.user {
            chown(&server.folder, Some(user), Some(group))
                .map_err(|error| file_error(&server.folder, &error))?;
        }
        let mut initdb = server.command("initdb");
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--pgdata"]);
        capture(initdb.arg(server.data()))?;
        let access = server.data().join("pg_hba.conf");
        fs::write(&access, ACCESS).map_err(|error| file_error(&access, &error))?;
        server.resume()?;
        server.sql("CREATE EXTENSION pg_stat_statements")?;
        server.sql(&format!("ALTER ROLE postgres PASSWORD '{PASSWORD}'"))?;
        Ok(server)
    }

    /// Starts the server after it was stopped, and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// [`TaskError`] with its log if it does not start.
    pub fn resume(&mut self) -> Result<(), TaskError> {
        let mut command = Command::new("sh");
        self.confine(&mut command);
        command.args(["-c", SUPERVISOR, "sh"]).arg(&self.folder);
        command.arg(self.programs.join("postgres")).arg("-D").arg(self.data()).args(SETTINGS);
        command.arg("-c").arg(format!("unix_socket_directories={}", self.folder.display()));
        let address = self.address.map(|address| address.to_string()).unwrap_or_default();
        command.arg("-c").arg(format!("listen_addresses={address}"));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut shell = command.spawn().map_err(|error| TaskError(format!("cannot run sh: {error}")))?;
        let (alive, log) = (shell.stdin.take(), shell.stderr.take());
        self.running = Some(Running { shell, alive });
        match log.map(|log| follow(log).recv_timeout(TIMEOUT)) {
            Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(log))) => Err(TaskError(format!("PostgreSQL did not start:\n{log}"))),
            Some(Err(_)) | None => Err(TaskError("PostgreSQL did not become ready".to_owned())),
        }
    }

    /// Stops the server in "fast" mode: it cuts connections and keeps what was committed.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if it does not stop.
    pub fn stop(&mut self) -> Result<(), TaskError> {
        let mut command = self.command("pg_ctl");
        capture(command.args(["stop", "--mode=fast", "--pgdata"]).arg(self.data()))?;
        if let Some(alive) = self.running.as_mut().and_then(|running| running.alive.as_mut()) {
            writeln!(alive, "keep").map_err(|error| file_error(&self.folder, &error))?;
        }
        self.running = None;
        Ok(())
    }

    /// Freezes all processes of the server until the returned value is dropped: connections stay open, without responses.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if a process is not found.
    pub fn freeze(&self) -> Result<Frozen, TaskError> {
        let file = self.data().join("postmaster.pid");
        let text = fs::read_to_string(&file).map_err(|error| file_error(&file, &error))?;
        let main = text.lines().next().unwrap_or_default();
        let mut frozen = Frozen(Vec::new());
        // Once frozen, it starts no further processes.
        frozen.freeze(main)?;
        let file = PathBuf::from(format!("/proc/{main}/task/{main}/children"));
        let children = fs::read_to_string(&file).map_err(|error| file_error(&file, &error))?;
        children.split_whitespace().try_for_each(|child| frozen.freeze(child))?;
        Ok(frozen)
    }

    /// Replaces the database by an empty one. Returns its URL, over the address if the server listens on one.
    ///
    /// # Errors
    ///
    /// [`TaskError`] with the server's message.
    pub fn fresh_database(&self) -> Result<String, TaskError> {
        self.sql(&format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"))?;
        self.sql(&format!("CREATE DATABASE {DATABASE}"))?;
        // The checkpoint of the previous database must not slow this one down.
        self.sql("CHECKPOINT")?;
        Ok(match self.address {
            None => format!("postgres:///{DATABASE}?host={}&user=postgres", self.folder.display()),
            Some(address) => format!("postgres://postgres:{PASSWORD}@{address}/{DATABASE}?sslmode=disable"),
        })
    }

    /// The number of calls that the server executed in the database, each a round trip. Waits until all clients have
    /// disconnected, because only then has the server counted everything.
    ///
    /// `pg_stat_statements` counts each execution of a statement, but only the first of a prepared `CALL`. Procedures are
    /// therefore counted by `pg_stat_user_functions`.
    ///
    /// # Errors
    ///
    /// [`TaskError`] with the server's message, or if clients stay connected.
    pub fn round_trips(&self) -> Result<f64, TaskError> {
        let clients = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{DATABASE}'");
        let began = Instant::now();
        while self.sql(&clients)? != "0" {
            if began.elapsed() > TIMEOUT {
                return Err(TaskError("clients of PostgreSQL did not disconnect".to_owned()));
            }
            pause(Duration::from_millis(20));
        }
        let statements = format!(
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query NOT ILIKE 'CALL %' \
             AND dbid = (SELECT oid FROM pg_database WHERE datname = '{DATABASE}')"
        );
        let procedures = "SELECT coalesce(sum(calls), 0) FROM pg_stat_user_functions";
        let number = |counted: String| {
            counted.parse::<f64>().map_err(|_| TaskError(format!("PostgreSQL counted {counted:?} calls")))
        };
        Ok(number(self.sql(&statements)?)? + number(self.sql_in(DATABASE, procedures)?)?)
    }

    /// Runs SQL in the server's own database; returns what psql prints.
    /// Runs a statement in the database of the contender.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if the server rejects it.
    pub fn query(&self, sql: &str) -> Result<String, TaskError> {
        self.sql_in(DATABASE, sql)
    }

    /// Opens a transaction in that database that sees what is there now, as a backup does, until the value is dropped.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if that is not possible.
    pub fn open_transaction(&self) -> Result<OpenTransaction, TaskError> {
        let mut psql = self.command("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", DATABASE, "-h"]);
        psql.arg(&self.folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let failed = |error: std::io::Error| TaskError(format!("psql failed: {error}"));
        let mut psql = psql.spawn().map_err(failed)?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) > 0 FROM orders_state.version;";
        if let Some(input) = &mut psql.stdin {
            writeln!(input, "{begin}").map_err(failed)?;
        }
        let mut line = String::new();
        if let Some(output) = &mut psql.stdout {
            BufReader::new(output).read_line(&mut line).map_err(failed)?;
        }
        let transaction = OpenTransaction(psql);
        if line.trim() == "t" {
            Ok(transaction)
        } else {
            Err(TaskError(format!("the transaction did not begin: {line}")))
        }
    }

    fn sql(&self, sql: &str) -> Result<String, TaskError> {
        self.sql_in("postgres", sql)
    }

    fn sql_in(&self, database: &str, sql: &str) -> Result<String, TaskError> {
        let mut psql = self.command("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database]);
        capture(psql.args(["-c", sql, "-h"]).arg(&self.folder))
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        self.confine(&mut command);
        command
    }

    fn confine(&self, command: &mut Command) {
        command.current_dir(&self.folder).env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
    }
}

/// A transaction that is open until this is dropped.
pub struct OpenTransaction(Child);

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running = None;
        // The supervisor has not removed the folder of a server that never ran.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.alive.take());
        // The shell ends after the server.
        let _ = self.shell.wait();
    }
}

/// Frozen processes; they are thawed when this is dropped.
pub struct Frozen(Vec<Pid>);

impl Frozen {
    fn freeze(&mut self, id: &str) -> Result<(), TaskError> {
        let pid = id.parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| TaskError(format!("{id:?} is not a process id")))?;
        kill_process(pid, Signal::STOP).map_err(|error| TaskError(format!("process {id}: {error}")))?;
        self.0.push(pid);
        Ok(())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in self.0.iter().rev() {
            // The process may have ended.
            let _ = kill_process(*pid, Signal::CONT);
        }
    }
}

/// The installed version, as `postgres --version` prints it.
pub fn version() -> Option<String> {
    output(Command::new(programs()?.join("postgres")).arg("--version"))
}

/// Reads the server's log to its end, so that the server never waits for a reader. Sends once that the server is ready, or its
/// log if it ended before.
fn follow(log: ChildStderr) -> Receiver<Result<(), String>> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let (mut ready, mut lines) = (false, Vec::new());
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if line.contains("database system is ready to accept") {
                ready = true;
                let _ = sender.try_send(Ok(()));
            }
            if !ready {
                lines.push(line);
            }
        }
        let _ = sender.try_send(Err(lines.join("\n")));
    });
    receiver
}

/// The folder of the server's programs. On Debian they are not in the PATH, but in a folder per version: the newest is used.
fn programs() -> Option<PathBuf> {
    const NEEDED: [&str; 4] = ["initdb", "pg_ctl", "postgres", "psql"];
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = versions.map(|version| version.path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let mut debian: Vec<PathBuf> = versions.filter(|path| number(path).is_some()).collect();
    debian.sort_by_key(number);
    env::split_paths(&path)
        .chain(debian.into_iter().rev().map(|folder| folder.join("bin")))
        .find(|folder| NEEDED.iter().all(|name| folder.join(name).exists()))
}

/// The user and group to run a server as, if this process runs as root: the package's user, or `nobody`.
fn unprivileged_user() -> Result<Option<(u32, u32)>, TaskError> {
    if !getuid().is_root() {
        return Ok(None);
    }
    let id = |option, user| output(Command::new("id").args([option, user]))?.parse().ok();
    let ids = ["postgres", "nobody"].into_iter().find_map(|user| Some((id("-u", user)?, id("-g", user)?)));
    ids.map(Some).ok_or_else(|| TaskError("there is no user postgres or nobody".to_owned()))
}
