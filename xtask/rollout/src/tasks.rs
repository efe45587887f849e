//! The tasks: containers with the settings of the task definition. Each has an address of its own on one network.

use std::{
    env, fs,
    net::Ipv4Addr,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use xtask::{
    command::{TaskError, capture, file_error},
    host::field,
};

use crate::containers::{program, run_step, wait_until};

/// The port of each task.
pub(crate) const PORT: u16 = 8080;
/// Seconds that a task may take to drain before it is killed: `stop_timeout_seconds` in terraform/.
const STOP_TIMEOUT: &str = "60";
/// How long a task may take to become healthy.
const LIMIT: Duration = Duration::from_secs(60);
/// The name of the network.
const NAME: &str = "orders-image-test";

/// The settings of the task definition.
///
/// - [`Task::wait_healthy`] runs the health check, because podman needs systemd for it.
/// - Without `nproc`, podman requests a higher limit than it may set.
/// - `ORDERS_STORE` contains a password, so its value is taken from podman's own environment.
const DEFINITION: &str = "--read-only --read-only-tmpfs=false --cap-drop=ALL --security-opt=no-new-privileges \
    --user=65532:65532 --ulimit=nofile=16384:16384 --ulimit=nproc=4096:4096 --env=ORDERS_DRAIN_DELAY=5s \
    --env=ORDERS_DRAIN_TIMEOUT=30s --env=ORDERS_LISTEN=0.0.0.0:8080 --env=ORDERS_LOG=info \
    --env=ORDERS_LOG_FORMAT=json --env=ORDERS_STORE_WAIT=120s --env=ORDERS_STORE --health-interval=disable --pull=never --detach";

/// The output of a podman command.
fn podman(arguments: &[&str]) -> Result<String, TaskError> {
    capture(program("podman").args(arguments))
}

/// A bridge. One container runs on it all the time, because this machine has the gateway's address only as long as a
/// container uses the bridge. Removed when dropped.
pub(crate) struct Network {
    pub(crate) gateway: Ipv4Addr,
}

impl Network {
    /// Creates it, in place of one that an interrupted run has left.
    pub(crate) fn create(image: &str) -> Result<Self, TaskError> {
        let _ = podman(&["network", "rm", "--force", "--time", "0", NAME]);
        podman(&["network", "create", NAME])?;
        let gateway = "{{range .Subnets}}{{.Gateway}}{{end}}";
        let gateway = podman(&["network", "inspect", "--format", gateway, NAME])?;
        let gateway =
            gateway.parse().map_err(|_| TaskError(format!("{gateway} is not the address of a gateway")))?;
        let network = Self { gateway };
        let holder = ["--env=ORDERS_STORE=memory:", "--name", "orders-image-test-holder", "--detach"];
        let mut command = program("podman");
        command.args(["run", "--rm", "--read-only", "--pull=never", "--health-interval=disable"]);
        capture(command.args(["--network", NAME]).args(holder).arg(image))?;
        Ok(network)
    }

    /// The address of the task with this number.
    pub(crate) fn address(&self, number: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.gateway.octets();
        Ipv4Addr::new(a, b, c, number.saturating_add(101))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = podman(&["network", "rm", "--force", "--time", "0", NAME]);
    }
}

/// A container; removed when dropped.
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
}

impl Task {
    /// Starts a container.
    pub(crate) fn start(network: &Network, image: &str, number: u8, store: &str) -> Result<Self, TaskError> {
        let address = network.address(number);
        let task = Self { name: format!("orders-task-{}", number.saturating_add(1)), address };
        let _ = podman(&["rm", "--force", "--time", "0", &task.name]);
        run_step(
            program("podman")
                .arg("run")
                .args(DEFINITION.split_whitespace())
                .args([
                    "--stop-timeout",
                    STOP_TIMEOUT,
                    "--name",
                    &task.name,
                    "--network",
                    NAME,
                    "--ip",
                    &address.to_string(),
                    image,
                ])
                .env("ORDERS_STORE", store)
                .stdout(Stdio::null()),
        )?;
        Ok(task)
    }

    /// Waits until the health check of the image succeeds.
    pub(crate) fn wait_healthy(&self) -> Result<(), TaskError> {
        wait_until(&format!("{} to be healthy", self.name), LIMIT, || {
            podman(&["healthcheck", "run", &self.name]).is_ok()
        })
    }

    /// Adds the last lines of its log to an error.
    pub(crate) fn with_log(&self, TaskError(reason): TaskError) -> TaskError {
        let log = podman(&["logs", "--tail", "3", &self.name]).unwrap_or_default();
        TaskError(format!("{reason}; the last lines of {}:\n{log}", self.name))
    }

    /// Sends SIGTERM; podman kills the task after [`STOP_TIMEOUT`].
    pub(crate) fn stop(&mut self) -> Result<(Child, Instant), TaskError> {
        let mut command = program("podman");
        command.args(["stop", "--time", STOP_TIMEOUT, &self.name]).stdout(Stdio::null());
        let child = command.spawn().map_err(|error| TaskError(format!("cannot run podman: {error}")))?;
        Ok((child, Instant::now()))
    }

    /// Waits for its end; returns its exit code, and the time since [`Task::stop`].
    pub(crate) fn wait_stopped(
        &self,
        (mut stopping, began): (Child, Instant),
    ) -> Result<(String, Duration), TaskError> {
        let status = stopping.wait().map_err(|error| TaskError(format!("podman: {error}")))?;
        let elapsed = began.elapsed();
        if !status.success() {
            return Err(TaskError(format!("{} could not be stopped", self.name)));
        }
        let code = podman(&["inspect", "--format", "{{.State.ExitCode}}", &self.name])?;
        Ok((code, elapsed))
    }

    /// The module that served all requests of clients, and their number, from the access log.
    pub(crate) fn logged_requests(&self) -> Result<(String, usize), TaskError> {
        let log = podman(&["logs", &self.name])?;
        let api = |line: &&str| field(line, "path").is_some_and(|path| path.starts_with("/api/v1/orders"));
        let mut modules: Vec<_> =
            log.lines().filter(api).map(|line| field(line, "module").unwrap_or_default()).collect();
        let requests = modules.len();
        modules.sort_unstable();
        modules.dedup();
        match *modules {
            [module] if !module.is_empty() => Ok((module.to_owned(), requests)),
            _ => Err(TaskError(format!("{} served requests with the modules {modules:?}", self.name))),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let _ = podman(&["rm", "--force", "--time", "0", &self.name]);
    }
}

/// An image for one run; removed when dropped.
pub(crate) struct Image(pub(crate) &'static str);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = capture(program("buildah").args(["rmi", self.0]));
    }
}

/// Builds an image that differs from another one only in its component. The host in that image compiles the component.
pub(crate) fn with_component(image: &str, component: &Path, folder: &Path) -> Result<Image, TaskError> {
    let input = fs::File::open(component).map_err(|error| file_error(component, &error))?;
    let compiled = folder.join("orders.cwasm");
    let output = fs::File::create(&compiled).map_err(|error| file_error(&compiled, &error))?;
    let target = format!("{}-unknown-linux-musl", env::consts::ARCH);
    run_step(
        program("podman")
            .args(["run", "--rm", "--interactive", "--network", "none", "--pull=never", image])
            .args(["compile", "-", "--output", "-", "--target", &target])
            .stdin(input)
            .stdout(output),
    )?;
    let dockerfile = folder.join("Dockerfile");
    let text = format!("FROM {image}\nCOPY orders.cwasm /app/orders.cwasm\n");
    fs::write(&dockerfile, text).map_err(|error| file_error(&dockerfile, &error))?;
    let new = Image("localhost/orders:new");
    run_step(
        program("buildah")
            .args(["build", "--isolation", "chroot", "--pull-never", "--format", "docker", "--tag", new.0])
            .arg(folder),
    )?;
    Ok(new)
}
