//! PostgreSQL servers for tests: real ones, each in a folder of its own, that do not outlive the test.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(unreachable_pub, missing_docs, reason = "a test has no users")]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::{fs::MetadataExt, fs::chown, process::CommandExt},
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

/// How long a server may take to start or stop. Far above what it needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a machine without PostgreSQL is told.
const MISSING: &str = "PostgreSQL is not on this machine, and these tests need a server of their own: install it \
    (on Debian and Ubuntu, `./dev test` does), or put initdb, postgres and psql on the PATH";

/// A server that runs; stopped when dropped, or when this process ends in any way.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    options: Vec<String>,
    /// Whether its folder goes when it is stopped: for one that is never dropped.
    passing: bool,
    running: Option<Running>,
}

/// The shell that watches over the server, and the pipe by which it knows that we are there.
struct Running {
    shell: Child,
    alive: Option<ChildStdin>,
}

/// Runs its arguments until its standard input ends; then removes the folder, if that was given.
const WATCH: &str = r#"folder=$1; shift; "$@" <&- & server=$!; cat >/dev/null
    kill -QUIT $server 2>/dev/null; wait $server; test -z "$folder" || rm -rf "$folder""#;

impl Server {
    /// A server for one test alone, with settings such as `ssl=on`.
    pub fn start(settings: &[&str]) -> Self {
        let mut server = Self::prepare();
        server.options = settings.iter().map(|setting| (*setting).to_owned()).collect();
        server.resume();
        server
    }

    /// A folder with a database cluster in it, not running yet.
    pub fn prepare() -> Self {
        let server = Self::empty();
        let made = server
            .command("initdb")
            .args(["--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"])
            .arg("--pgdata")
            .arg(server.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server
    }

    /// A folder for a server.
    fn empty() -> Self {
        let programs = programs().unwrap_or_else(|| panic!("{MISSING}"));
        let folder = TempDir::with_prefix("orders-postgres-").unwrap();
        if let Some((user, group)) = other_user() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        Self { folder, programs, options: Vec::new(), passing: false, running: None }
    }

    /// Starts it (again) with these settings besides the ones that it has.
    pub fn configure(&mut self, settings: &[&str]) {
        self.options.extend(settings.iter().map(|setting| (*setting).to_owned()));
    }

    /// Starts it again after it was stopped.
    pub fn resume(&mut self) {
        drop(self.running.take());
        let mut command = Command::new("sh");
        self.as_other_user(&mut command);
        command.args(["-c", WATCH, "sh"]);
        command.arg(if self.passing { self.folder.path() } else { Path::new("") });
        command.arg(self.programs.join("postgres")).arg("-D").arg(self.data());
        // Nothing here has to survive a power failure.
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
        let (say, said) = mpsc::sync_channel(1);
        // Reads to the end, lest the server wait for a reader of its log.
        thread::spawn(move || {
            let mut lines = Vec::new();
            for line in log.lines().map_while(Result::ok) {
                if line.contains("database system is ready to accept") {
                    let _ = say.try_send(Ok(()));
                }
                lines.push(line);
            }
            let _ = say.try_send(Err(lines.join("\n")));
        });
        self.running = Some(Running { shell, alive });
        match said.recv_timeout(PATIENCE) {
            Ok(Ok(())) => {}
            Ok(Err(log)) => panic!("the server did not start:\n{log}"),
            Err(_) => panic!("waited too long for the server"),
        }
    }

    /// Ends it at once, as a crash does: connections are cut, and the next start recovers.
    pub fn stop(&mut self) {
        drop(self.running.take());
    }

    /// The URL of a database, over a socket in the server's folder.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{folder}/{database}")
    }

    /// The server's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{}", self.port()))
    }

    /// The port that was set, if any was; it is in the name of the socket too.
    fn port(&self) -> &str {
        let set = self.options.iter().find_map(|option| option.strip_prefix("port="));
        set.unwrap_or("5432")
    }

    /// Says who may connect besides the user `postgres` on the server's socket, and how: lines of `pg_hba.conf`.
    pub fn admit(&self, lines: &str) {
        self.write(&self.data().join("pg_hba.conf"), &format!("local all postgres trust\n{lines}\n"));
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// The folder that is the server's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it keeps its databases and its settings.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Makes a database that nobody else uses.
    pub fn database(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// A standby of this server, which has each commit before it is acknowledged if this one's settings ask for that.
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

    /// Runs SQL; gives what it answers, unaligned.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs SQL that may fail.
    ///
    /// # Errors
    ///
    /// What the server has to say.
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

    /// Writes a file that the server can read and nobody else.
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

    /// A server refuses to run as root.
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
        // The shell ends once the server has.
        let _ = self.shell.wait();
    }
}

/// The server that the tests of one binary share, each with a database of its own. It ends with the process.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| {
        let mut server = Server::prepare();
        server.passing = true;
        server.resume();
        server
    })
}

/// Where the server's programs are.
fn programs() -> Option<PathBuf> {
    let has_all =
        |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).exists());
    let on_path =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let told = Command::new("pg_config")
        .arg("--bindir")
        .output()
        .ok()
        .map(|told| PathBuf::from(String::from_utf8_lossy(&told.stdout).trim()));
    // Debian keeps them off the PATH, by version.
    let mut debian: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    debian.sort_unstable();
    on_path.into_iter().chain(told).chain(debian.into_iter().rev().map(|(_, path)| path)).find(has_all)
}

/// Whom to run a server as, if we are root: the user that its package has made, or the one that owns nothing.
fn other_user() -> Option<(u32, u32)> {
    static USER: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *USER.get_or_init(|| {
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let find = |name: &str| {
            let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2).map(|field| field.parse().ok());
            Some((fields.next()??, fields.next()??))
        };
        Some(find("postgres").or_else(|| find("nobody")).expect("there is a user nobody"))
    })
}
