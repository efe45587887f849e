//! Real PostgreSQL servers for tests, each in its own folder. None outlives its test.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(unreachable_pub, missing_docs, reason = "tests have no public API")]

mod installation;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tempfile::TempDir;

use self::installation::{other_user, programs};

/// Time limit for starting and stopping a server; far more than it needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The message on a machine without PostgreSQL.
const MISSING: &str = "PostgreSQL is not installed, and these tests start their own servers: install it \
    (on Debian and Ubuntu, `./dev test` does), or add initdb, postgres and psql to the PATH";

/// A server; stopped when dropped, or when this process ends in any way.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    options: Vec<String>,
    /// Whether the folder is removed when the server stops: for a server that is never dropped.
    remove_folder: bool,
    running: Option<Running>,
}

/// The shell that supervises the server, and the pipe that tells the shell that this process is alive.
struct Running {
    shell: Child,
    alive: Option<ChildStdin>,
}

/// Runs its arguments until its standard input ends, then stops the server, and removes the folder if one was given.
const SUPERVISE: &str = r#"folder=$1; shift; "$@" <&- & server=$!; cat >/dev/null
    kill -QUIT $server 2>/dev/null; wait $server; test -z "$folder" || rm -rf "$folder""#;

impl Server {
    /// Starts a server for one test, with settings such as `ssl=on`.
    pub fn start(settings: &[&str]) -> Self {
        let mut server = Self::prepare();
        server.options = settings.iter().map(|setting| (*setting).to_owned()).collect();
        server.resume();
        server
    }

    /// Creates a folder with a database cluster, without starting a server.
    pub fn prepare() -> Self {
        let server = Self::empty();
        let initialised = server
            .command("initdb")
            .args(["--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"])
            .arg("--pgdata")
            .arg(server.data())
            .output()
            .unwrap();
        assert!(initialised.status.success(), "initdb: {}", String::from_utf8_lossy(&initialised.stderr));
        server
    }

    /// Creates an empty folder for a server.
    fn empty() -> Self {
        let programs = programs().unwrap_or_else(|| panic!("{MISSING}"));
        let folder = TempDir::with_prefix("orders-postgres-").unwrap();
        if let Some((user, group)) = other_user() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        Self { folder, programs, options: Vec::new(), remove_folder: false, running: None }
    }

    /// Adds settings, which apply at the next start.
    pub fn configure(&mut self, settings: &[&str]) {
        self.options.extend(settings.iter().map(|setting| (*setting).to_owned()));
    }

    /// Starts the server, again if it was stopped.
    pub fn resume(&mut self) {
        drop(self.running.take());
        let mut command = Command::new("sh");
        self.as_other_user(&mut command);
        command.args(["-c", SUPERVISE, "sh"]);
        command.arg(if self.remove_folder { self.folder.path() } else { Path::new("") });
        command.arg(self.programs.join("postgres")).arg("-D").arg(self.data());
        // Test data need not survive a power failure.
        let usual = ["fsync=off", "full_page_writes=off", "listen_addresses=", "max_connections=200"];
        let socket = format!("unix_socket_directories={}", self.folder.path().display());
        for setting in
            usual.into_iter().chain([socket.as_str()]).chain(self.options.iter().map(String::as_str))
        {
            command.args(["-c", setting]);
        }
        let mut shell =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let alive = shell.stdin.take();
        let log = BufReader::new(shell.stderr.take().unwrap());
        let (sender, started) = mpsc::sync_channel(1);
        // Reads to the end, so that the server never blocks on its log.
        thread::spawn(move || {
            let mut lines = Vec::new();
            for line in log.lines().map_while(Result::ok) {
                if line.contains("database system is ready to accept") {
                    let _ = sender.try_send(Ok(()));
                }
                lines.push(line);
            }
            let _ = sender.try_send(Err(lines.join("\n")));
        });
        self.running = Some(Running { shell, alive });
        match started.recv_timeout(PATIENCE) {
            Ok(Ok(())) => {}
            Ok(Err(log)) => panic!("the server did not start:\n{log}"),
            Err(_) => panic!("the server did not start in time"),
        }
    }

    /// Stops the server immediately, as a crash does: connections are cut, and the next start runs recovery.
    pub fn stop(&mut self) {
        drop(self.running.take());
    }

    /// The URL of a database, over a Unix socket in the server's folder.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{folder}/{database}")
    }

    /// The path of the server's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{}", self.port()))
    }

    /// The configured port, which is part of the socket's name too.
    fn port(&self) -> &str {
        let set = self.options.iter().find_map(|option| option.strip_prefix("port="));
        set.unwrap_or("5432")
    }

    /// Sets who may connect to the socket besides the user `postgres`, and how: lines of `pg_hba.conf`.
    pub fn admit(&self, lines: &str) {
        self.write(&self.data().join("pg_hba.conf"), &format!("local all postgres trust\n{lines}\n"));
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// The server's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data directory with databases and settings.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Creates a database for one test.
    pub fn database(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Starts a standby of this server. It receives each commit before the commit is acknowledged, if this server's
    /// settings say so.
    pub fn standby(&self) -> Self {
        let mut standby = Self::empty();
        let copied = standby
            .command("pg_basebackup")
            .args([
                "--username=postgres",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
                "--host",
            ])
            .arg(self.folder.path())
            .arg("--pgdata")
            .arg(standby.data())
            .output()
            .unwrap();
        assert!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        standby.resume();
        standby
    }

    /// Runs SQL and returns the output, unaligned.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs SQL that may fail.
    ///
    /// # Errors
    ///
    /// The server's error.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let ran = self
            .command("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"])
            .arg(self.folder.path())
            .args(["-p", self.port(), "-c", sql])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if ran.status.success() { Ok(text(&ran.stdout)) } else { Err(text(&ran.stderr)) }
    }

    /// Writes a file that only the server can read.
    pub fn write(&self, path: &Path, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = other_user() {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        self.as_other_user(&mut command);
        command
    }

    /// PostgreSQL refuses to run as root.
    fn as_other_user(&self, command: &mut Command) {
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default());
        if let Some((user, group)) = other_user() {
            command.uid(user).gid(group);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.alive.take());
        // The shell ends after the server.
        let _ = self.shell.wait();
    }
}

/// Returns the server that the tests of one binary share, each with its own database. It ends with the process.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| {
        let mut server = Server::prepare();
        server.remove_folder = true;
        server.resume();
        server
    })
}
