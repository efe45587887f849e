//! Builds what takes part, and finds out what cannot.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use orders_bench::{
    postgres::Server,
    wasmtime_cli::{install_wasmtime, wasmtime},
};
use xtask::{
    adapters::Adapter,
    command::{Failed, cargo, failed, output, program, run},
    components, workspace,
};

use super::{
    Contender, Start,
    programs::{Programs, compiled, folder, gin},
};
use crate::profiled;

/// Where Debian keeps the sources of Go packages.
const GO_PACKAGES: &str = "/usr/share/gocode";

/// What takes part.
pub(crate) struct Setup {
    /// Its programs.
    pub(crate) programs: Programs,
    /// The PostgreSQL server, once it is started.
    pub(crate) server: Option<Server>,
    missing: Vec<(Contender, &'static str)>,
}

impl Setup {
    /// Checks the tools and builds the contenders that are wanted; our host only if there is none yet.
    ///
    /// # Errors
    ///
    /// [`Failed`] with what is missing, or does not build.
    pub(crate) fn prepare(
        wanted: impl Fn(Contender) -> bool,
        with_wasmtime: bool,
        host: Option<&Path>,
    ) -> Result<Self, Failed> {
        check_tools(wanted(Contender::Gin))?;
        fs::create_dir_all(folder()).map_err(|error| failed(&folder(), &error))?;
        let component = components::orders()?;
        let mut portable = PathBuf::new();
        let ours = [Contender::Host, Contender::HostReuse].into_iter().any(&wanted);
        let host = match host {
            Some(host) => host.to_owned(),
            None if ours => profiled::build()?,
            None => PathBuf::new(),
        };
        if wanted(Contender::Native) {
            run(&mut cargo([
                "build",
                "--package",
                "orders-bench-native",
                "--profile",
                "release",
                "--locked",
            ]))?;
        }
        if wanted(Contender::Gin) {
            build_gin()?;
        }
        let mut missing = Vec::new();
        if wanted(Contender::WasmtimeServe) {
            if with_wasmtime {
                install_wasmtime()?;
            }
            if wasmtime().exists() {
                run(program("orders-portability")?.arg("compose"))?;
                portable = Adapter::Memory.path();
            } else {
                missing.push((Contender::WasmtimeServe, "not built; --with-wasmtime-serve builds it"));
            }
        }
        if ours {
            let mut compile = Command::new(&host);
            run(compile.arg("compile").arg(&component).arg("--output").arg(compiled()))?;
        }
        Ok(Self { programs: Programs { host, component, portable }, server: None, missing })
    }

    /// Starts a PostgreSQL server, which ends with this.
    ///
    /// # Errors
    ///
    /// [`Failed`] if there is none, or it does not start.
    pub(crate) fn start_server(&mut self) -> Result<(), Failed> {
        self.server = Some(Server::start()?);
        Ok(())
    }

    /// The PostgreSQL server.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it was not started.
    pub(crate) fn server(&self) -> Result<&Server, Failed> {
        self.server.as_ref().ok_or_else(|| Failed("PostgreSQL was not started".to_owned()))
    }

    /// Why a contender does not take part, if it does not.
    pub(crate) fn missing(&self, contender: Contender) -> Option<&'static str> {
        self.missing.iter().find(|(missing, _)| *missing == contender).map(|(_, why)| *why)
    }

    /// Why something cannot be started, if it cannot.
    pub(crate) fn cannot(&self, start: Start) -> Option<&'static str> {
        self.missing(start.contender())
    }
}

fn check_tools(with_go: bool) -> Result<(), Failed> {
    let mut missing = Vec::new();
    // It says its version and ends with an error code.
    if Command::new("wrk").arg("-v").output().is_err() {
        missing.push("wrk");
    }
    if output(Command::new("prlimit").arg("--version")).is_none() {
        missing.push("util-linux");
    }
    if with_go && output(Command::new("go").arg("version")).is_none() {
        missing.push("golang-go");
    }
    if with_go && !Path::new(GO_PACKAGES).join("src/github.com/gin-gonic/gin").exists() {
        missing.push("golang-github-gin-gonic-gin-dev");
    }
    if with_go && !Path::new(GO_PACKAGES).join("src/github.com/jackc/pgx/v4").exists() {
        missing.push("golang-github-jackc-pgx-v4-dev");
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failed(format!("the benchmark needs what is not here: apt-get install {}", missing.join(" "))))
}

fn build_gin() -> Result<(), Failed> {
    run(Command::new("go")
        .args(["build", "-o"])
        .arg(gin())
        .arg(".")
        .current_dir(workspace().join("bench/gin"))
        // From Debian's packages, and without the network.
        .env("GO111MODULE", "off")
        .env("GOPATH", GO_PACKAGES))
}
