//! A load balancer before the tasks: it asks `/ready`, as the target group does, and knows nothing else of them.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use orders_bench::client::Connection;
use xtask::{
    command::{Failed, announce, failed},
    process::{Group, Process},
};

use crate::{tasks, wait::until};

/// Where it listens.
const PORT: u16 = 8080;
/// The page that says what it thinks of its servers, as CSV.
const STATISTICS: &str = "/balancer;csv";
/// How long it may take to notice something, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two answers in a row decide, as in the target group; it asks more often, so that the test does not take minutes. No
/// request is sent twice: what a task refuses, a client sees.
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

/// It, running; ended when this is dropped.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    process: Process,
}

impl Balancer {
    /// Starts it before all tasks that there may be, and waits until it has seen which there are: it believes in each
    /// until it has asked.
    pub(crate) fn start(folder: &Path, address: Ipv4Addr, tasks: &[Ipv4Addr]) -> Result<Self, Failed> {
        let address = SocketAddr::from((address, PORT));
        let mut settings = SETTINGS.replace("ADDRESS", &address.to_string());
        for task in tasks {
            settings.push_str(&format!("  server {task} {}\n", SocketAddr::from((*task, tasks::PORT))));
        }
        let file = folder.join("haproxy.cfg");
        fs::write(&file, settings).map_err(|error| failed(&file, &error))?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file).stderr(Stdio::null());
        announce(&command);
        let process = Process::start(&mut command, Group::Own)?;
        let balancer = Self { address, process };
        until("the balancer's view of the tasks", PATIENCE, || {
            let seen = balancer.states().unwrap_or_default();
            // Checked often enough: a server that has only been checked once is going up or down.
            seen.len() == tasks.len()
                && seen.iter().all(|(_, state)| ["UP", "DOWN"].contains(&state.as_str()))
                && seen.iter().any(|(_, state)| state == "DOWN")
        })?;
        Ok(balancer)
    }

    /// Waits until it sends requests to a task, or none any more.
    pub(crate) fn wait_until(&self, task: Ipv4Addr, serves: bool) -> Result<(), Failed> {
        let (task, wanted) = (task.to_string(), if serves { "UP" } else { "DOWN" });
        until(&format!("{task} to be {wanted}"), PATIENCE, || {
            let seen = self.states().unwrap_or_default();
            seen.iter().any(|(name, state)| *name == task && state == wanted)
        })
    }

    /// Each task's name, and what it is thought to be.
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

    /// Ends it.
    pub(crate) fn stop(&mut self) -> Result<(), Failed> {
        self.process.terminate()?;
        self.process.end_within(PATIENCE).map(drop)
    }
}
