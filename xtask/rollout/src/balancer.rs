//! The load balancer (`HAProxy`). Like the target group on AWS, it knows the state of a task only from `/ready`.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use orders_bench::client::Connection;
use xtask::{
    command::{TaskError, announce, file_error},
    process::{Group, Process},
};

use crate::{containers::wait_until, tasks};

/// The port of the load balancer.
const PORT: u16 = 8080;
/// The page with the state of each task, as CSV.
const STATISTICS: &str = "/balancer;csv";
/// How long it may take to notice a change, or to exit.
const LIMIT: Duration = Duration::from_secs(60);

/// Two responses in a row decide, as in the target group. The checks are more frequent, so that the test does not take
/// minutes. Requests are never retried, so that a client sees every rejection.
const SETTINGS: &str = "global
  maxconn 1000

defaults
  mode http
  retries 0
  timeout connect 2s
  timeout client 60s
  timeout server 60s

frontend public
  bind ADDRESS
  stats enable
  stats uri /balancer
  default_backend tasks

backend tasks
  option httpchk
  http-check send meth GET uri /ready ver HTTP/1.1 hdr Host orders
  http-check expect status 200
  default-server check inter 1s rise 2 fall 2
";

/// The running load balancer; killed when dropped.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    process: Process,
}

impl Balancer {
    /// Starts it for the addresses of all present and future tasks, and waits until it has checked each of them: it assumes
    /// that a task is up until the first checks.
    pub(crate) fn start(folder: &Path, address: Ipv4Addr, tasks: &[Ipv4Addr]) -> Result<Self, TaskError> {
        let address = SocketAddr::from((address, PORT));
        let mut settings = SETTINGS.replace("ADDRESS", &address.to_string());
        for task in tasks {
            settings.push_str(&format!("  server {task} {}\n", SocketAddr::from((*task, tasks::PORT))));
        }
        let file = folder.join("haproxy.cfg");
        fs::write(&file, settings).map_err(|error| file_error(&file, &error))?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file).stderr(Stdio::null());
        announce(&command);
        let process = Process::start(&mut command, Group::Own)?;
        let balancer = Self { address, process };
        wait_until("the load balancer to check the tasks", LIMIT, || {
            let seen = balancer.states().unwrap_or_default();
            // After one check, the state is still "going up" or "going down".
            seen.len() == tasks.len()
                && seen.iter().all(|(_, state)| ["UP", "DOWN"].contains(&state.as_str()))
                && seen.iter().any(|(_, state)| state == "DOWN")
        })?;
        Ok(balancer)
    }

    /// Waits until it sends requests to a task, or has stopped sending them.
    pub(crate) fn wait_for(&self, task: Ipv4Addr, serves: bool) -> Result<(), TaskError> {
        let (task, wanted) = (task.to_string(), if serves { "UP" } else { "DOWN" });
        wait_until(&format!("{task} to be {wanted}"), LIMIT, || {
            let seen = self.states().unwrap_or_default();
            seen.iter().any(|(name, state)| *name == task && state == wanted)
        })
    }

    /// The name and the state of each task.
    fn states(&self) -> std::io::Result<Vec<(String, String)>> {
        let page = Connection::open(self.address)?.get(STATISTICS)?;
        let mut lines = page.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
        let column = |name: &str| names.iter().position(|column| *column == name).unwrap_or(usize::MAX);
        let (proxy, server, status) = (column("pxname"), column("svname"), column("status"));
        Ok(lines
            .map(|line| line.split(',').collect::<Vec<_>>())
            .filter(|line| line.get(proxy) == Some(&"tasks") && line.get(server) != Some(&"BACKEND"))
            .filter_map(|line| Some(((*line.get(server)?).to_owned(), (*line.get(status)?).to_owned())))
            .collect())
    }

    /// Shuts it down.
    pub(crate) fn stop(&mut self) -> Result<(), TaskError> {
        self.process.terminate()?;
        self.process.exit_within(LIMIT).map(drop)
    }
}
