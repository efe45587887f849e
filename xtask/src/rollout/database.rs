//! A PostgreSQL server for one run: a real one, of the machine's, with data that go at the end.

use std::{
    env, fs,
    net::Ipv4Addr,
    os::unix::{fs::chown, process::CommandExt},
    process::{Command, Stdio},
    time::Duration,
};

use super::{Folder, until};
use crate::{
    command::{Failed, ask, failed, output},
    containers::finish,
    postgres::programs,
    process::Process,
};

/// What has to be on the machine, and its package.
pub(crate) const PROGRAMS: [(&str, &str); 1] = [("pg_lsclusters", "postgresql")];
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// It does not run as root. This is `nobody` on every Linux.
const USER: u32 = 65534;
/// The password that the tasks have: for these data, which nobody else reaches and which go at the end.
const PASSWORD: &str = "image-test";

/// The server, stopped when this is dropped.
pub(crate) struct Database {
    address: Ipv4Addr,
    _server: Process,
    _folder: Folder,
}

impl Database {
    /// Starts it on an address of this machine.
    pub(crate) fn start(address: Ipv4Addr) -> Result<Self, Failed> {
        let programs = programs()
            .ok_or_else(|| Failed("there is no PostgreSQL here: apt-get install postgresql".into()))?;
        let folder = Folder(env::temp_dir().join(format!("orders-image-test-{}", std::process::id())));
        let path = &folder.0;
        let password = path.join("password");
        fs::create_dir(path)
            .and_then(|()| fs::write(&password, PASSWORD))
            .and_then(|()| [path, &password].iter().try_for_each(|path| chown(path, Some(USER), Some(USER))))
            .map_err(|error| failed(path, &error))?;
        let data = path.join("data");
        let run = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.current_dir(path).uid(USER).gid(USER);
            command
        };
        finish(
            run("initdb")
                .args(["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"])
                .args(["--encoding=UTF8", "--locale=C", "--pwfile"])
                .arg(&password)
                .arg("--pgdata")
                .arg(&data)
                .stdout(Stdio::null()),
        )?;
        let admitted = data.join("pg_hba.conf");
        fs::write(&admitted, "local all all trust\nhost all all samenet scram-sha-256\n")
            .map_err(|error| failed(&admitted, &error))?;
        let log = path.join("log");
        let log = fs::File::create(&log).map_err(|error| failed(&log, &error))?;
        let socket = format!("unix_socket_directories={}", path.display());
        let listen = format!("listen_addresses={address}");
        let (server, _) = Process::start(
            run("postgres").arg("-D").arg(&data).args(["-c", &socket, "-c", &listen]).stderr(log),
        )?;
        let database = Self { address, _server: server, _folder: folder };
        let host = address.to_string();
        until("PostgreSQL", PATIENCE, || {
            output(Command::new(programs.join("pg_isready")).args(["--quiet", "--host", &host])).is_some()
        })?;
        let sql = "CREATE DATABASE orders";
        let mut psql = Command::new(programs.join("psql"));
        ask(psql.env("PGPASSWORD", PASSWORD).args([
            "--host",
            &host,
            "--username=postgres",
            "--command",
            sql,
        ]))?;
        Ok(database)
    }

    /// The location for `--store`.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres:{PASSWORD}@{}/orders?sslmode=disable", self.address)
    }
}
