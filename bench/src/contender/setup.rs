//! Builds the contenders, and records which are not available.

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
    command::{TaskError, cargo, file_error, output, program, run},
    components, workspace,
};

use super::{
    Contender,
    programs::{Programs, compiled, folder, gin},
};
use crate::profiled;

/// Where Debian installs the sources of Go packages.
const GO_PACKAGES: &str = "/usr/share/gocode";

/// Everything that was built and started for a run.
pub(crate) struct Setup {
    pub(crate) programs: Programs,
    /// The PostgreSQL server, once it is started.
    pub(crate) server: Option<Server>,
    unavailable: Option<(Contender, &'static str)>,
}

impl Setup {
    /// Checks the tools and builds the wanted contenders. Does not build our host if `host` names a program.
    pub(crate) fn prepare(
        wanted: impl Fn(Contender) -> bool,
        with_wasmtime: bool,
        host: Option<&Path>,
    ) -> Result<Self, TaskError> {
        check_tools(wanted(Contender::Gin))?;
        fs::create_dir_all(folder()).map_err(|error| file_error(&folder(), &error))?;
        let component = components::orders()?;
        let mut portable = PathBuf::new();
        let ours = [Contender::Host, Contender::HostReuse].into_iter().any(&wanted);
        let host = match host {
            Some(host) => host.to_owned(),
            None if ours => profiled::build()?,
            None => PathBuf::new(),
        };
        if wanted(Contender::Native) {
            let package = ["--package", "orders-bench-native", "--profile", "release", "--locked"];
            run(cargo(["build"]).args(package))?;
        }
        if wanted(Contender::Gin) {
            build_gin()?;
        }
        let mut unavailable = None;
        if wanted(Contender::WasmtimeServe) {
            if with_wasmtime {
                install_wasmtime()?;
            }
            if wasmtime().exists() {
                run(program("orders-portability")?.arg("compose"))?;
                portable = Adapter::Memory.path();
            } else {
                let why = "not built; --with-wasmtime-serve builds it";
                unavailable = Some((Contender::WasmtimeServe, why));
            }
        }
        if ours {
            let mut compile = Command::new(&host);
            run(compile.arg("compile").arg(&component).arg("--output").arg(compiled()))?;
        }
        Ok(Self { programs: Programs { host, component, portable }, server: None, unavailable })
    }

    /// The PostgreSQL server.
    pub(crate) fn server(&self) -> Result<&Server, TaskError> {
        self.server.as_ref().ok_or_else(|| TaskError("PostgreSQL was not started".to_owned()))
    }

    /// Why a wanted contender is not available, if it is not.
    pub(crate) fn unavailable(&self, contender: Contender) -> Option<&'static str> {
        self.unavailable.filter(|(unavailable, _)| *unavailable == contender).map(|(_, why)| why)
    }
}

fn check_tools(with_go: bool) -> Result<(), TaskError> {
    let go_package = |name| Path::new(GO_PACKAGES).join("src/github.com").join(name).exists();
    let mut packages = vec![
        // wrk prints its version and exits with 1.
        (Command::new("wrk").arg("-v").output().is_ok(), "wrk"),
        (output(Command::new("prlimit").arg("--version")).is_some(), "util-linux"),
    ];
    if with_go {
        packages.extend([
            (output(Command::new("go").arg("version")).is_some(), "golang-go"),
            (go_package("gin-gonic/gin"), "golang-github-gin-gonic-gin-dev"),
            (go_package("jackc/pgx/v4"), "golang-github-jackc-pgx-v4-dev"),
        ]);
    }
    let missing: Vec<_> =
        packages.iter().filter(|(installed, _)| !installed).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(TaskError(format!("the benchmark needs missing packages: apt-get install {}", missing.join(" "))))
}

fn build_gin() -> Result<(), TaskError> {
    run(Command::new("go")
        .args(["build", "-o"])
        .arg(gin())
        .arg(".")
        .current_dir(workspace().join("bench/gin"))
        // With Debian's packages, without network access.
        .env("GO111MODULE", "off")
        .env("GOPATH", GO_PACKAGES))
}
