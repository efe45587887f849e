//! `cargo xtask image-test`: a new image replaces the old one under load, task by task, as ECS would do it.
//!
//! Two containers of the image, as the task definition has them: read-only, without capabilities, as user 65532, each with
//! an address of its own on a bridge. Beside them a PostgreSQL server and a load balancer (`HAProxy`), which knows nothing
//! but what `/ready` answers. Clients create orders and read them back all the time. For each old task a new one starts and
//! gets ready; then the old one is told to end.

mod balancer;
mod containers;
mod tasks;
mod wait;

use std::{
    fs,
    net::Ipv4Addr,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Args, Parser, Subcommand};

use orders_bench::{load::under_load, postgres::Server};
use xtask::{
    command::{Failed, exit, failed, pause},
    components,
};

use balancer::Balancer;
use tasks::{Network, Task};

/// Replaces an image.
#[derive(Parser)]
#[command(bin_name = "xtask")]
struct Cli {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Subcommand)]
enum Commands {
    /// Replace an image by another one under load, task by task, behind a load balancer and over PostgreSQL
    ImageTest(Options),
}

/// How much load.
#[derive(Args)]
struct Options {
    /// Connections that create and read at once
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// An image that is there already, to be tested in the place of one that is built
    #[arg(long)]
    image: Option<String>,
}

/// Tasks of each version.
const TASKS: u8 = 2;
/// How long both versions are left alone under load, before and after.
const CALM: Duration = Duration::from_secs(5);
/// How long an ending task may still be asked after it has been told so: the drain delay of the task definition.
const DRAIN_DELAY: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let Commands::ImageTest(options) = Cli::parse().command;
    exit(test(&options))
}

/// Runs it and prints what came of it.
///
/// # Errors
///
/// [`Failed`] if a request failed, a task did not end with 0, or the new version does not serve in the end.
fn test(options: &Options) -> Result<(), Failed> {
    containers::prepare()?;
    let image = match &options.image {
        Some(image) => image,
        None => containers::build_image()?,
    };
    let folder = containers::folder().join("rollout");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    let new = components::another_version(&components::orders()?, 2, &folder)?;
    let new_hash = components::hash(&new)?;
    let new_image = tasks::with_component(image, &new, &folder)?;

    let network = Network::make(image)?;
    let database = Server::start(Some(network.gateway))?;
    let url = database.fresh_database()?;
    let old: Vec<Task> =
        (0..TASKS).map(|number| Task::start(&network, image, number, &url)).collect::<Result<_, _>>()?;
    let addresses: Vec<Ipv4Addr> = (0..2 * TASKS).map(|number| network.address(number)).collect();
    let mut balancer = Balancer::start(&folder, network.gateway, &addresses)?;
    for task in &old {
        balancer.wait_until(task.address, true).map_err(|failed| task.explain(failed))?;
        task.is_healthy()?;
    }
    let start = |number| Task::start(&network, new_image.0, number, &url);
    let (times, (old, new)) = under_load(balancer.address, options.connections, || {
        let story = Story { began: Instant::now() };
        story.tell(&format!("{} tasks of the old version serve", old.len()));
        pause(CALM);
        let replaced = replace(old, &balancer, &story, start)?;
        pause(CALM);
        story.tell("only the new version is left");
        Ok(replaced)
    })?;
    let requests = times.count();
    balancer.stop()?;
    let logged = served(&old, None)? + served(&new, Some(&new_hash))?;
    for mut task in new {
        let ending = task.end()?;
        let (code, _) = task.ended(ending)?;
        if code != "0" {
            return Err(Failed(format!("{} ended with exit code {code}", task.name)));
        }
    }
    println!(
        "{requests} requests over {} connections, none failed; {logged} in the access logs; {} requests/s",
        options.connections,
        times.rate().round()
    );
    if logged != requests {
        return Err(Failed("the requests that were answered are not those in the access logs".into()));
    }
    Ok(())
}

/// Replaces each old task by a new one, which has to be ready first; gives the old ones, which have ended, and the new.
fn replace(
    old: Vec<Task>,
    balancer: &Balancer,
    story: &Story,
    start: impl Fn(u8) -> Result<Task, Failed>,
) -> Result<(Vec<Task>, Vec<Task>), Failed> {
    let (mut replaced, mut replacing) = (Vec::new(), Vec::new());
    for (number, mut task) in (TASKS..).zip(old) {
        let new = start(number)?;
        story.tell(&format!("{} started, of the new version", new.name));
        balancer.wait_until(new.address, true).map_err(|failed| new.explain(failed))?;
        new.is_healthy()?;
        story.tell(&format!("{} is ready and healthy; {} is told to end", new.name, task.name));
        let ending = task.end()?;
        balancer.wait_until(task.address, false)?;
        story.tell(&format!("{} gets no more requests", task.name));
        let (code, after) = task.ended(ending)?;
        story.tell(&format!("{} ended after {:.1} s with exit code {code}", task.name, after.as_secs_f64()));
        if code != "0" || after < DRAIN_DELAY {
            return Err(Failed(format!("{} should have drained and ended with 0", task.name)));
        }
        replaced.push(task);
        replacing.push(new);
    }
    Ok((replaced, replacing))
}

/// How many requests these tasks have served, each of them some, by their access logs; all with the module of this hash,
/// or with one and the same.
fn served(tasks: &[Task], hash: Option<&str>) -> Result<usize, Failed> {
    let mut all = 0;
    for task in tasks {
        let (module, requests) = task.served()?;
        println!("{:<16}{requests:>8} requests by module {:.12}", task.name, module);
        if requests == 0 || hash.is_some_and(|hash| !hash.starts_with(&module)) {
            return Err(Failed(format!("{} did not serve what it should have", task.name)));
        }
        all += requests;
    }
    Ok(all)
}

/// Says what happens, and when.
struct Story {
    began: Instant,
}

impl Story {
    fn tell(&self, what: &str) {
        println!("{:>6.1} s  {what}", self.began.elapsed().as_secs_f64());
    }
}
