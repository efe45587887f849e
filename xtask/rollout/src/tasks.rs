//! The tasks: containers as the task definition has them, on a network where each has an address of its own.

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use xtask::{
    command::{Failed, ask, failed},
    host::field,
};

use crate::{
    containers::{finish, program},
    wait::until,
};

/// Where a task listens.
pub(crate) const PORT: u16 = 8080;
/// How long a task may take to drain before it is killed: `stop_timeout_seconds` of terraform/.
const STOP_TIMEOUT: &str = "60";
/// How long a task may take to get healthy.
const PATIENCE: Duration = Duration::from_secs(60);
/// The network, and what its containers' names begin with.
const NAME: &str = "orders-image-test";

/// What the task definition says of a container. Its health is asked for by hand: what would do it here is systemd.
const DEFINITION: [&str; 18] = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--user=65532:65532",
    "--ulimit=nofile=16384:16384",
    // Else podman asks for more processes than it may.
    "--ulimit=nproc=4096:4096",
    "--stop-timeout",
    STOP_TIMEOUT,
    "--env=ORDERS_DRAIN_DELAY=5s",
    "--env=ORDERS_DRAIN_TIMEOUT=30s",
    "--env=ORDERS_LISTEN=0.0.0.0:8080",
    "--env=ORDERS_LOG=info",
    "--env=ORDERS_LOG_FORMAT=json",
    // The address holds a password: it comes from our own environment.
    "--env=ORDERS_STORE",
    "--health-interval=disable",
    "--pull=never",
    "--detach",
];

/// A bridge of its own. One container holds it up as long as this is there, so that this machine has its address on it.
pub(crate) struct Network {
    pub(crate) gateway: Ipv4Addr,
}

impl Network {
    /// Makes it, in the place of one that a run which was broken off has left.
    pub(crate) fn make(image: &str) -> Result<Self, Failed> {
        let podman = |arguments: &[&str]| ask(program("podman").args(arguments));
        let _ = podman(&["network", "rm", "--force", "--time", "0", NAME]);
        podman(&["network", "create", NAME])?;
        let gateway = "{{range .Subnets}}{{.Gateway}}{{end}}";
        let gateway = podman(&["network", "inspect", "--format", gateway, NAME])?;
        let gateway = gateway.parse().map_err(|_| Failed(format!("{gateway} is no address of a gateway")))?;
        let network = Self { gateway };
        let holder = ["--env=ORDERS_STORE=memory:", "--name", "orders-image-test-holder", "--detach"];
        let mut command = program("podman");
        command.args(["run", "--rm", "--read-only", "--pull=never", "--health-interval=disable"]);
        ask(command.args(["--network", NAME]).args(holder).arg(image))?;
        Ok(network)
    }

    /// The address of the task of this number.
    pub(crate) fn address(&self, number: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.gateway.octets();
        Ipv4Addr::new(a, b, c, number.saturating_add(101))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = ask(program("podman").args(["network", "rm", "--force", "--time", "0", NAME]));
    }
}

/// A container; removed when this is dropped.
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
}

impl Task {
    /// Starts one.
    pub(crate) fn start(network: &Network, image: &str, number: u8, store: &str) -> Result<Self, Failed> {
        let address = network.address(number);
        let task = Self { name: format!("orders-task-{}", number.saturating_add(1)), address };
        let _ = ask(program("podman").args(["rm", "--force", "--time", "0", &task.name]));
        finish(
            program("podman")
                .arg("run")
                .args(DEFINITION)
                .args(["--name", &task.name, "--network", NAME, "--ip", &address.to_string(), image])
                .env("ORDERS_STORE", store)
                .stdout(Stdio::null()),
        )?;
        Ok(task)
    }

    /// Waits until the probe of the image says that it is healthy.
    pub(crate) fn is_healthy(&self) -> Result<(), Failed> {
        until(&format!("{} to be healthy", self.name), PATIENCE, || {
            ask(program("podman").args(["healthcheck", "run", &self.name])).is_ok()
        })
    }

    /// What it has said last, on top of why a wait for it was in vain.
    pub(crate) fn explain(&self, Failed(why): Failed) -> Failed {
        let log = ask(program("podman").args(["logs", "--tail", "3", &self.name])).unwrap_or_default();
        Failed(format!("{why}; {} said last:\n{log}", self.name))
    }

    /// Tells it to end, and has it killed if it does not in time.
    pub(crate) fn end(&mut self) -> Result<(Child, Instant), Failed> {
        let mut command = program("podman");
        command.args(["stop", "--time", STOP_TIMEOUT, &self.name]).stdout(Stdio::null());
        let child = command.spawn().map_err(|error| Failed(format!("podman cannot be run: {error}")))?;
        Ok((child, Instant::now()))
    }

    /// Waits until it has ended; gives its exit code, and how long that took.
    pub(crate) fn ended(&self, (mut ending, began): (Child, Instant)) -> Result<(String, Duration), Failed> {
        let ended = ending.wait().map_err(|error| Failed(format!("podman: {error}")))?;
        let took = began.elapsed();
        if !ended.success() {
            return Err(Failed(format!("{} could not be stopped", self.name)));
        }
        let code = ask(program("podman").args(["inspect", "--format", "{{.State.ExitCode}}", &self.name]))?;
        Ok((code, took))
    }

    /// The module that it has served with, as the access log names it, and how many requests of clients: all were
    /// answered as they should be.
    pub(crate) fn served(&self) -> Result<(String, usize), Failed> {
        let log = ask(program("podman").args(["logs", &self.name]))?;
        let mut module = String::new();
        let mut requests = 0;
        let api = |line: &&str| field(line, "path").is_some_and(|path| path.starts_with("/api/v1/orders"));
        for line in log.lines().filter(api) {
            let named = field(line, "module").unwrap_or_default();
            if module.is_empty() {
                named.clone_into(&mut module);
            }
            if named.is_empty() || named != module {
                return Err(Failed(format!("not of module {module}: {line}")));
            }
            requests += 1;
        }
        Ok((module, requests))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let _ = ask(program("podman").args(["rm", "--force", "--time", "0", &self.name]));
    }
}

/// An image that was made for one run; removed when this is dropped.
pub(crate) struct Image(pub(crate) &'static str);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = ask(program("buildah").args(["rmi", self.0]));
    }
}

/// An image that differs from another one in its component only, which that one's own program compiles.
pub(crate) fn with_component(image: &str, component: &Path, folder: &Path) -> Result<Image, Failed> {
    let read = |error| failed(component, &error);
    let input = fs::File::open(component).map_err(read)?;
    let compiled = folder.join("orders.cwasm");
    let output = fs::File::create(&compiled).map_err(|error| failed(&compiled, &error))?;
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    finish(
        program("podman")
            .args(["run", "--rm", "--interactive", "--network", "none", "--pull=never", image])
            .args(["compile", "-", "--output", "-", "--target", &target])
            .stdin(input)
            .stdout(output),
    )?;
    let described = folder.join("Dockerfile");
    let text = format!("FROM {image}\nCOPY orders.cwasm /app/orders.cwasm\n");
    fs::write(&described, text).map_err(|error| failed(&described, &error))?;
    let made = Image("localhost/orders:new");
    finish(
        program("buildah")
            .args(["build", "--isolation", "chroot", "--pull-never", "--format", "docker", "--tag", made.0])
            .arg(folder),
    )?;
    Ok(made)
}
