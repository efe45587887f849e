//! A PostgreSQL server for measurements and for the roll-out: a real one with its own settings, in a temporary folder,
//! that does not outlive us. It is durable, as a server is as it comes: the tests' server (`host/tests/support`) is not,
//! and need not be.

use std::{
    env, fs,
    io::{BufRead, BufReader, ErrorKind, Write},
    net::Ipv4Addr,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdin, Command, Output, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use xtask::command::{Failed, failed, output, pause};

/// How long a server may take to start. Far above what it needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Has the server count what its clients have it execute.
const SETTINGS: [&str; 4] = ["-c", "shared_preload_libraries=pg_stat_statements", "-c", "track_functions=pl"];
/// The database that is measured.
const DATABASE: &str = "orders";
/// The password of those who come over the network: for data which nobody else reaches and which go at the end.
const PASSWORD: &str = "image-test";
/// Who may come: all over the socket, and those of its own network with the password.
const ADMITTED: &str = "local all all trust\nhost all all samenet scram-sha-256\n";

/// Runs its arguments until it is told to keep the folder, or until its standard input ends with us; then the folder goes.
/// A server that was frozen has to go on to end.
const WATCH: &str = r#"folder=$1; shift; "$@" <&- & server=$!; read -r keep
    kill -QUIT $server 2>/dev/null; kill -CONT $server 2>/dev/null; wait $server
    test -n "$keep" || rm -rf "$folder""#;

/// A server that can be stopped and started.
pub struct Server {
    folder: PathBuf,
    programs: PathBuf,
    /// Whom it runs as: it refuses to be root.
    user: Option<(u32, u32)>,
    /// Where it listens beside its socket.
    address: Option<Ipv4Addr>,
    running: Option<Running>,
}

/// The shell that watches over the server, and the pipe by which it knows that we are there.
struct Running {
    shell: Child,
    alive: Option<ChildStdin>,
}

impl Server {
    /// Makes a server that is reached over its socket, and starts it.
    ///
    /// # Errors
    ///
    /// [`Failed`] if there is no PostgreSQL, or it does not start.
    pub fn start() -> Result<Self, Failed> {
        Self::make(None)
    }

    /// Makes a server that is reached over an address of this machine, too, with a password, and starts it.
    ///
    /// # Errors
    ///
    /// [`Failed`] if there is no PostgreSQL, or it does not start.
    pub fn start_on(address: Ipv4Addr) -> Result<Self, Failed> {
        let server = Self::make(Some(address))?;
        server.sql(&format!("ALTER ROLE postgres PASSWORD '{PASSWORD}'"))?;
        Ok(server)
    }

    fn make(address: Option<Ipv4Addr>) -> Result<Self, Failed> {
        let missing =
            || Failed("PostgreSQL is missing; `./dev test` installs it on Debian and Ubuntu".to_owned());
        let programs = programs().ok_or_else(missing)?;
        let folder = env::temp_dir().join(format!("orders-postgres-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| failed(&folder, &error))?;
        let mut server = Self { folder, programs, user: other_user()?, address, running: None };
        if let Some((user, group)) = server.user {
            chown(&server.folder, Some(user), Some(group)).map_err(|error| failed(&server.folder, &error))?;
        }
        let mut initdb = server.command("initdb");
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--pgdata"]);
        succeed(initdb.arg(server.data()))?;
        let admitted = server.data().join("pg_hba.conf");
        fs::write(&admitted, ADMITTED).map_err(|error| failed(&admitted, &error))?;
        server.resume()?;
        server.sql("CREATE EXTENSION pg_stat_statements")?;
        Ok(server)
    }

    /// Starts it again after it was stopped; it takes connections then.
    ///
    /// # Errors
    ///
    /// [`Failed`] with what it said, if it does not.
    pub fn resume(&mut self) -> Result<(), Failed> {
        let mut command = Command::new("sh");
        self.in_its_place(&mut command);
        command.args(["-c", WATCH, "sh"]).arg(&self.folder);
        command.arg(self.programs.join("postgres")).arg("-D").arg(self.data()).args(SETTINGS);
        command.arg("-c").arg(format!("unix_socket_directories={}", self.folder.display()));
        let address = self.address.map(|address| address.to_string()).unwrap_or_default();
        command.arg("-c").arg(format!("listen_addresses={address}"));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut shell = command.spawn().map_err(|error| Failed(format!("cannot run sh: {error}")))?;
        let (alive, log) = (shell.stdin.take(), shell.stderr.take());
        self.running = Some(Running { shell, alive });
        match log.map(|log| follow(log).recv_timeout(PATIENCE)) {
            Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(log))) => Err(Failed(format!("PostgreSQL did not start:\n{log}"))),
            Some(Err(_)) | None => Err(Failed("PostgreSQL does not say that it is ready".to_owned())),
        }
    }

    /// Stops it as an administrator does who is in a hurry ("fast"): connections are cut, what was committed is kept.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it does not end.
    pub fn stop(&mut self) -> Result<(), Failed> {
        let mut command = self.command("pg_ctl");
        succeed(command.args(["stop", "--mode=fast", "--pgdata"]).arg(self.data()))?;
        if let Some(alive) = self.running.as_mut().and_then(|running| running.alive.as_mut()) {
            writeln!(alive, "keep").map_err(|error| failed(&self.folder, &error))?;
        }
        self.running = None;
        Ok(())
    }

    /// Freezes all of its processes, until what this gives is dropped: connections stay, and nobody answers on them.
    ///
    /// # Errors
    ///
    /// [`Failed`] if they are not all found.
    pub fn freeze(&self) -> Result<Frozen, Failed> {
        let file = self.data().join("postmaster.pid");
        let text = fs::read_to_string(&file).map_err(|error| failed(&file, &error))?;
        let main = text.lines().next().unwrap_or_default();
        let mut frozen = Frozen(Vec::new());
        // It makes no others once it is frozen itself.
        frozen.add(main)?;
        let file = PathBuf::from(format!("/proc/{main}/task/{main}/children"));
        let children = fs::read_to_string(&file).map_err(|error| failed(&file, &error))?;
        children.split_whitespace().try_for_each(|child| frozen.add(child))?;
        Ok(frozen)
    }

    /// An empty database in place of the one before. Gives its URL, over the server's socket or the address that it
    /// listens on.
    ///
    /// # Errors
    ///
    /// [`Failed`] with what the server says.
    pub fn fresh_database(&self) -> Result<String, Failed> {
        self.sql(&format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"))?;
        self.sql(&format!("CREATE DATABASE {DATABASE}"))?;
        // What the one before has left to be written does not weigh on this one.
        self.sql("CHECKPOINT")?;
        Ok(match self.address {
            None => format!("postgres:///{DATABASE}?host={}&user=postgres", self.folder.display()),
            Some(address) => format!("postgres://postgres:{PASSWORD}@{address}/{DATABASE}?sslmode=disable"),
        })
    }

    /// How often clients have had something executed in the database, until they were gone: each time is a round trip.
    /// Waits for the last of them to go, for only then has the server counted all.
    ///
    /// Its statistics count a statement each time it is executed, but a `CALL` that was prepared only the first time. So
    /// calls are counted where procedures are.
    ///
    /// # Errors
    ///
    /// [`Failed`] with what the server says, or if clients stay.
    pub fn round_trips(&self) -> Result<f64, Failed> {
        let there = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{DATABASE}'");
        let asked = Instant::now();
        while self.sql(&there)? != "0" {
            if asked.elapsed() > PATIENCE {
                return Err(Failed("clients of PostgreSQL do not go".to_owned()));
            }
            pause(Duration::from_millis(20));
        }
        let statements = format!(
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query NOT ILIKE 'CALL %' \
             AND dbid = (SELECT oid FROM pg_database WHERE datname = '{DATABASE}')"
        );
        let procedures = "SELECT coalesce(sum(calls), 0) FROM pg_stat_user_functions";
        let number = |counted: String| {
            counted.parse::<f64>().map_err(|_| Failed(format!("PostgreSQL has counted {counted:?}")))
        };
        Ok(number(self.sql(&statements)?)? + number(self.sql_in(DATABASE, procedures)?)?)
    }

    /// Runs SQL in a database that is not measured; gives what it answers.
    fn sql(&self, sql: &str) -> Result<String, Failed> {
        self.sql_in("postgres", sql)
    }

    fn sql_in(&self, database: &str, sql: &str) -> Result<String, Failed> {
        let mut psql = self.command("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database]);
        let answered = succeed(psql.args(["-c", sql, "-h"]).arg(&self.folder))?;
        Ok(String::from_utf8_lossy(&answered.stdout).trim().to_owned())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        self.in_its_place(&mut command);
        command
    }

    fn in_its_place(&self, command: &mut Command) {
        command.current_dir(&self.folder).env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running = None;
        // What has never run is still there.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.alive.take());
        // The shell ends once the server has.
        let _ = self.shell.wait();
    }
}

/// Processes that stand still; they go on when this is dropped.
pub struct Frozen(Vec<Pid>);

impl Frozen {
    fn add(&mut self, id: &str) -> Result<(), Failed> {
        let pid = id.parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Failed(format!("{id:?} is no process")))?;
        kill_process(pid, Signal::STOP).map_err(|error| Failed(format!("process {id}: {error}")))?;
        self.0.push(pid);
        Ok(())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in self.0.iter().rev() {
            // It may have ended meanwhile.
            let _ = kill_process(*pid, Signal::CONT);
        }
    }
}

/// Which version there is, in its own words.
pub fn version() -> Option<String> {
    output(Command::new(programs()?.join("postgres")).arg("--version"))
}

fn succeed(command: &mut Command) -> Result<Output, Failed> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ran = command.stdin(Stdio::null()).output();
    let ran = ran.map_err(|error| Failed(format!("cannot run {name}: {error}")))?;
    if ran.status.success() {
        return Ok(ran);
    }
    Err(Failed(format!("{name} failed: {}", String::from_utf8_lossy(&ran.stderr).trim())))
}

/// Reads a server's log to its end, lest it wait for a reader; says once that it is ready, or what it said instead.
fn follow(log: ChildStderr) -> Receiver<Result<(), String>> {
    let (say, said) = sync_channel(1);
    thread::spawn(move || {
        let (mut ready, mut lines) = (false, Vec::new());
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if line.contains("database system is ready to accept") {
                ready = true;
                let _ = say.try_send(Ok(()));
            }
            if !ready {
                lines.push(line);
            }
        }
        let _ = say.try_send(Err(lines.join("\n")));
    });
    said
}

/// Where the server's programs are. Debian keeps them off the PATH, by version: the newest is taken.
pub fn programs() -> Option<PathBuf> {
    const NEEDED: [&str; 4] = ["initdb", "pg_ctl", "postgres", "psql"];
    let path = env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    debian.sort_unstable();
    env::split_paths(&path)
        .chain(debian.into_iter().rev().map(|(_, folder)| folder))
        .find(|folder| NEEDED.iter().all(|name| folder.join(name).exists()))
}

/// Whom to run a server as, if we are root: the user that its package has made, or the one that owns nothing.
fn other_user() -> Result<Option<(u32, u32)>, Failed> {
    let read = |error| failed(Path::new("/etc/passwd"), &error);
    if fs::metadata("/proc/self").map_err(read)?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(read)?;
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(|field| field.parse().ok());
        Some((fields.next()??, fields.next()??))
    };
    let found = find("postgres").or_else(|| find("nobody"));
    found.map(Some).ok_or_else(|| read(ErrorKind::NotFound.into()))
}
