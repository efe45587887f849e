//! The options of the log: what is logged, in which format, and what the access log says about clients.

use std::{env, ffi::OsStr, net::IpAddr, str::FromStr, sync::Arc};

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::values::{List, list, nearest};

/// What is logged, and in which format.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct LogConfig {
    /// Lowest level that is logged, with exceptions by target: `info`, or `warn,access=info`. With exceptions alone, it is
    /// `info`
    #[arg(long, env = "ORDERS_LOG", value_name = "FILTER", default_value = "info")]
    pub log: LogFilter,

    /// Format of the log lines on standard output
    #[arg(long, env = "ORDERS_LOG_FORMAT", value_name = "FORMAT", default_value = "auto")]
    pub log_format: LogFormat,

    /// Requests that have a line in the access log: `all`; `errors`, those with a status of 400 or above or a response that did
    /// not reach its end; or `off`
    #[arg(long, env = "ORDERS_ACCESS_LOG", value_name = "REQUESTS", default_value = "all")]
    pub access_log: AccessLines,

    /// Address or network (CIDR) of load balancers. For a connection from one of them, the access log takes the client's
    /// address from `X-Forwarded-For` or `Forwarded`: the last one there that is not a load balancer's. May be repeated; in
    /// the variable, networks are separated by `,`
    #[arg(long, env = "ORDERS_TRUSTED_PROXIES", value_name = "NETWORK", value_parser = networks)]
    pub trusted_proxies: Vec<List<IpNet>>,
}

impl LogConfig {
    /// Whether text on a terminal may have colours: not if the variable `NO_COLOR` is set and not empty
    /// (<https://no-color.org>), or `TERM` is `dumb`.
    pub fn may_color() -> bool {
        may_color(env::var_os("NO_COLOR").as_deref(), env::var_os("TERM").as_deref())
    }

    /// The load balancers that are trusted.
    pub fn proxies(&self) -> TrustedProxies {
        TrustedProxies(List::concat(&self.trusted_proxies).into())
    }
}

fn may_color(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term != Some(OsStr::new("dumb"))
}

/// Which lines are logged: the lowest level, with exceptions by target.
#[derive(Clone, Debug)]
pub struct LogFilter(pub Targets);

/// The levels of log lines, and none.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// The targets of log lines. That of the program itself has others below it, which are named after its modules; the last two
/// belong to the sandbox.
const TARGETS: [&str; 5] = ["access", "guest", "orders_host", "wasmtime_wasi", "wasmtime_wasi_http"];

impl FromStr for LogFilter {
    type Err = String;

    /// An unknown word would otherwise be a target that nothing has, and switch everything else off; so would a filter that
    /// only has exceptions.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut targets = Targets::new();
        let mut lowest = None;
        for part in text.split(',').map(str::trim) {
            targets = match part.split_once('=') {
                Some((target, name)) => targets.with_target(known_target(target)?, level(name)?),
                None if TARGETS.contains(&part) => {
                    return Err(format!("`{part}` is a target: give it a level, such as `{part}=warn`"));
                }
                None => {
                    let level = level(part)?;
                    if lowest.replace(level).is_some() {
                        return Err(format!(
                            "`{part}` is a second level: one applies to everything, and others to a target, as in \
                             `warn,access=info`"
                        ));
                    }
                    targets
                }
            };
        }
        Ok(Self(targets.with_default(lowest.unwrap_or(LevelFilter::INFO))))
    }
}

fn level(name: &str) -> Result<LevelFilter, String> {
    // The library knows numbers, too.
    let is_known = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(name));
    let level = is_known.then(|| name.parse().ok()).flatten();
    level.ok_or_else(|| unknown("level", name, &LEVELS))
}

fn known_target(target: &str) -> Result<&str, String> {
    let root = target.split("::").next().unwrap_or_default();
    if TARGETS.contains(&root) { Ok(target) } else { Err(unknown("target", target, &TARGETS)) }
}

fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let nearest = nearest(word, known.iter().copied());
    let nearest = nearest.map(|known| format!(": write `{known}`")).unwrap_or_default();
    format!("`{word}` is no {what}{nearest}; the {what}s are {}", known.join(", "))
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, otherwise JSON
    Auto,
    /// Human-readable text
    Text,
    /// One JSON object per line
    Json,
}

/// The requests that have a line in the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccessLines {
    /// All; probes at the level `debug`
    All,
    /// Those with a status of 400 or above, or whose response did not reach its end
    Errors,
    /// None
    Off,
}

fn networks(text: &str) -> Result<List<IpNet>, String> {
    list(text, ',', network)
}

/// Parses a network. An address alone is a network of one.
fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse().map(|address: IpAddr| IpNet::from(address)));
    let network =
        network.map_err(|_| "expected a network, such as `10.0.0.0/16`, or an address".to_owned())?;
    if matches!(network.addr(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
        return Err("an IPv4 network is written as one, such as `10.0.0.0/16`".to_owned());
    }
    if network.addr() != network.network() {
        return Err(format!("an address within a network is not its name: write `{}`", network.trunc()));
    }
    Ok(network)
}

/// The load balancers that say where a request comes from. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Whether a load balancer has this address.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn no_color_and_a_dumb_terminal_turn_colours_off() {
        for (no_color, term, expected) in [
            (None, None, true),
            (None, Some("xterm-256color"), true),
            (Some(""), Some("xterm"), true),
            (Some("1"), Some("xterm"), false),
            (Some("0"), None, false),
            (None, Some("dumb"), false),
        ] {
            assert_eq!(
                may_color(no_color.map(OsStr::new), term.map(OsStr::new)),
                expected,
                "{no_color:?} {term:?}"
            );
        }
    }

    #[test]
    fn a_filter_has_known_levels_and_targets() {
        let LogFilter(targets) = "WARN, access=info,orders_host::store=trace,guest=off".parse().unwrap();
        for (target, level, logged) in [
            ("access", Level::INFO, true),
            ("access", Level::DEBUG, false),
            ("guest", Level::ERROR, false),
            ("orders_host::store::sqlite", Level::TRACE, true),
            ("orders_host::http", Level::WARN, true),
            ("orders_host::http", Level::INFO, false),
        ] {
            assert_eq!(targets.would_enable(target, &level), logged, "{target} {level}");
        }
        // Exceptions alone leave everything else as it is.
        for (text, target, level, logged) in [
            ("access=error", "orders_host::http", Level::INFO, true),
            ("access=error", "orders_host::http", Level::DEBUG, false),
            ("access=error", "access", Level::WARN, false),
            ("orders_host::rollout=debug", "access", Level::INFO, true),
            ("orders_host::rollout=debug", "orders_host::store", Level::ERROR, true),
            ("orders_host::rollout=debug", "orders_host::rollout::slot", Level::DEBUG, true),
            ("access=info,off", "orders_host::http", Level::ERROR, false),
        ] {
            let LogFilter(targets) = text.parse().unwrap();
            assert_eq!(targets.would_enable(target, &level), logged, "{text}: {target} {level}");
        }
        for (text, says) in [
            ("info,debug", "`debug` is a second level"),
            ("info,access=warn,info", "`info` is a second level"),
            ("3", "`3` is no level"),
            ("info,access=3", "`3` is no level"),
            ("warning", "`warning` is no level: write `warn`; the levels are off, error, warn"),
            ("information", "`information` is no level"),
            ("", "`` is no level"),
            ("info,", "`` is no level"),
            ("access", "`access` is a target: give it a level"),
            ("info,acces=warn", "`acces` is no target: write `access`"),
            ("info,=warn", "`` is no target"),
            ("info,access=warning", "write `warn`"),
            ("info,access=", "`` is no level"),
            ("orders-host=debug", "write `orders_host`"),
        ] {
            let error = text.parse::<LogFilter>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_network_is_written_by_its_first_address() {
        let proxies =
            |texts: &[&str]| TrustedProxies(texts.iter().map(|text| network(text).unwrap()).collect());
        let trusted = proxies(&["10.0.0.0/16", "192.0.2.7", "2001:db8::/32", "::1"]);
        for (address, expected) in [
            ("10.0.255.1", true),
            ("10.1.0.0", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("::1", true),
            ("::2", false),
        ] {
            assert_eq!(trusted.contain(address.parse().unwrap()), expected, "{address}");
        }
        for (text, says) in [
            ("10.0.0.1/16", "write `10.0.0.0/16`"),
            ("2001:db8::1/32", "write `2001:db8::/32`"),
            ("10.0.0.0/33", "such as `10.0.0.0/16`"),
            ("::ffff:10.0.0.0/112", "an IPv4 network is written as one"),
            ("balancer", "such as `10.0.0.0/16`"),
            ("", "such as `10.0.0.0/16`"),
            ("10.0.0.1:80", "such as `10.0.0.0/16`"),
        ] {
            let error = network(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
