//! `cargo xtask image-test`: replaces an image by a new one under load, task by task, as ECS does.
//!
//! | file | contents |
//! |---|---|
//! | `containers` | runs buildah and podman |
//! | `tasks` | the tasks: two containers of each image |
//! | `balancer` | the load balancer |
//!
//! The containers have the settings of the task definition (read-only, no capabilities, user 65532), and an address each on a
//! bridge. A PostgreSQL server and a load balancer (`HAProxy`) run beside them; the load balancer knows the state of a task
//! only from `/ready`. Clients create orders and read them back all the time. For each old task, a new one starts and becomes
//! ready; then the old one gets SIGTERM.

mod balancer;
mod containers;
mod tasks;

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use clap::{Args, Parser, Subcommand};

use orders_bench::{load::under_load, postgres::Server};
use xtask::{
    command::{TaskError, capture, empty_folder, exit, pause},
    components,
};

use balancer::Balancer;
use tasks::{Network, Task};

/// Tests the replacement of an image
#[derive(Parser)]
#[command(bin_name = "xtask")]
struct Cli {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Subcommand)]
enum Commands {
    /// Replace an image under load, task by task, behind a load balancer and over PostgreSQL
    ImageTest(Options),
}

#[derive(Args)]
struct Options {
    /// Connections that create and read concurrently
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Test this existing image, instead of building one
    #[arg(long)]
    image: Option<String>,
}

/// The programs that run containers on a network of their own, the database and the load balancer, as PROGRAM:PACKAGE.
const PROGRAMS: &str =
    "podman:podman runc:runc conmon:conmon iptables:iptables pg_lsclusters:postgresql haproxy:haproxy";
/// Tasks per version.
const TASKS: u8 = 2;
/// How long the load runs before and after the replacement.
const STEADY: Duration = Duration::from_secs(5);
/// How long a task continues to serve after SIGTERM: the drain delay of the task definition.
const DRAIN_DELAY: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let Commands::ImageTest(options) = Cli::parse().command;
    exit(test(&options))
}

/// Fails if a request fails, a task exits with another code than 0, or the new version does not serve at the end.
fn test(options: &Options) -> Result<(), TaskError> {
    containers::script("prepare", PROGRAMS)?;
    if options.image.is_none() {
        containers::script("build", "")?;
    }
    let image = options.image.as_deref().unwrap_or("localhost/orders:built");
    let folder = containers::folder().join("rollout");
    empty_folder(&folder)?;
    let new = components::another_version(&components::orders()?, 2, &folder)?;
    let new_hash = sha256(&new)?;
    let new_image = tasks::with_component(image, &new, &folder)?;

    let network = Network::create(image)?;
    let database = Server::start(Some(network.gateway))?;
    let url = database.fresh_database()?;
    let old: Vec<Task> =
        (0..TASKS).map(|number| Task::start(&network, image, number, &url)).collect::<Result<_, _>>()?;
    let addresses: Vec<Ipv4Addr> = (0..2 * TASKS).map(|number| network.address(number)).collect();
    let mut balancer = Balancer::start(&folder, network.gateway, &addresses)?;
    for task in &old {
        balancer.wait_for(task.address, true).map_err(|error| task.with_log(error))?;
        task.wait_healthy()?;
    }
    let start = |number| Task::start(&network, new_image.0, number, &url);
    let (times, (old, new)) = under_load(balancer.address, options.connections, || {
        let began = Instant::now();
        print_step(began, &format!("{} tasks of the old version serve", old.len()));
        pause(STEADY);
        let replaced = replace(old, &balancer, began, start)?;
        pause(STEADY);
        print_step(began, "only the new version is running");
        Ok(replaced)
    })?;
    let requests = times.count();
    balancer.stop()?;
    let logged = logged_requests(&old, None)? + logged_requests(&new, Some(&new_hash))?;
    for mut task in new {
        let stopping = task.stop()?;
        let (code, _) = task.wait_stopped(stopping)?;
        if code != "0" {
            return Err(TaskError(format!("{} exited with code {code}", task.name)));
        }
    }
    println!(
        "{requests} requests over {} connections, none failed; {logged} in the access logs; {} requests/s",
        options.connections,
        times.rate().round()
    );
    if logged != requests {
        return Err(TaskError(
            "the number of responses differs from the number of requests in the access logs".into(),
        ));
    }
    Ok(())
}

/// Replaces each old task by a new one that is already ready; returns the old tasks, which have exited, and the new ones.
fn replace(
    old: Vec<Task>,
    balancer: &Balancer,
    began: Instant,
    start: impl Fn(u8) -> Result<Task, TaskError>,
) -> Result<(Vec<Task>, Vec<Task>), TaskError> {
    let (mut replaced, mut replacing) = (Vec::new(), Vec::new());
    for (number, mut task) in (TASKS..).zip(old) {
        let new = start(number)?;
        print_step(began, &format!("{} started, with the new version", new.name));
        balancer.wait_for(new.address, true).map_err(|error| new.with_log(error))?;
        new.wait_healthy()?;
        print_step(began, &format!("{} is ready and healthy; sending SIGTERM to {}", new.name, task.name));
        let stopping = task.stop()?;
        balancer.wait_for(task.address, false)?;
        print_step(began, &format!("{} no longer gets requests", task.name));
        let (code, after) = task.wait_stopped(stopping)?;
        print_step(
            began,
            &format!("{} exited after {:.1} s with code {code}", task.name, after.as_secs_f64()),
        );
        if code != "0" || after < DRAIN_DELAY {
            return Err(TaskError(format!("{} did not drain and exit with code 0", task.name)));
        }
        replaced.push(task);
        replacing.push(new);
    }
    Ok((replaced, replacing))
}

/// The SHA-256 of a component in hexadecimal digits, as in the access log.
fn sha256(component: &Path) -> Result<String, TaskError> {
    let line = capture(Command::new("sha256sum").arg(component))?;
    Ok(line.split_whitespace().next().unwrap_or_default().to_owned())
}

/// The number of requests in the access logs of these tasks. Fails if a task has not served with exactly one module, or not
/// with the one with this hash.
fn logged_requests(tasks: &[Task], hash: Option<&str>) -> Result<usize, TaskError> {
    let mut all = 0;
    for task in tasks {
        let (module, requests) = task.logged_requests()?;
        println!("{:<16}{requests:>8} requests by module {:.12}", task.name, module);
        if hash.is_some_and(|hash| !hash.starts_with(&module)) {
            return Err(TaskError(format!("{} served requests with another module", task.name)));
        }
        all += requests;
    }
    Ok(all)
}

/// Prints a step with the time since the start.
fn print_step(began: Instant, step: &str) {
    println!("{:>6.1} s  {step}", began.elapsed().as_secs_f64());
}
