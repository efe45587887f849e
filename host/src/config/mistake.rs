//! A command line that cannot be understood: what is wrong on one line, the nearest word that would be right, and variables
//! that no option reads.

use std::{collections::BTreeSet, env, ffi::OsString};

use clap::{Arg, Command, error::ContextKind};

use super::values::nearest;

/// What the variables of all options begin with.
const PREFIX: &str = "ORDERS_";
/// Variables that are read and belong to no option: the admin token, and the point at which a test kills the process.
const OTHER_VARIABLES: [&str; 2] = ["ORDERS_ADMIN_TOKEN", "ORDERS_FAULT"];

/// The error of clap on one line: its first paragraph, where a bad value comes from, its suggestion if it has one, and the
/// command whose `--help` says more. `program` is the whole command line, `arguments` are those of the process, without its name.
pub fn one_line(error: &clap::Error, program: Command, arguments: impl Iterator<Item = OsString>) -> String {
    let arguments: Vec<_> = arguments.collect();
    let text = error.render().to_string();
    let unwrap = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = unwrap(text.split("\n\n").next().unwrap_or_default());
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: ")).map(unwrap);
    let tip = tip.map(|tip| format!("; {tip}")).unwrap_or_default();
    let (name, command) = command(program, &arguments);
    let variable = variable(error, &command, &arguments);
    let variable = variable.map(|variable| format!(" (from the variable {variable})")).unwrap_or_default();
    format!("{what}{variable}{tip}; see `{name} --help`")
}

/// The command that the arguments name, such as `orders-host state import`. An error about a value does not contain it.
fn command(mut command: Command, arguments: &[OsString]) -> (String, Command) {
    command.build();
    let mut names = vec![command.get_name().to_owned()];
    for argument in arguments {
        let Some(subcommand) = command.find_subcommand(argument).cloned() else { break };
        names.push(subcommand.get_name().to_owned());
        command = subcommand;
    }
    (names.join(" "), command)
}

/// The variable of the option whose value is bad, if the option itself is not given.
fn variable(error: &clap::Error, command: &Command, arguments: &[OsString]) -> Option<String> {
    // The value of an option that is not given comes from its variable: defaults are valid.
    error.get(ContextKind::InvalidValue)?;
    let named = error.get(ContextKind::InvalidArg)?.to_string();
    let option = command.get_arguments().find(|option| option.to_string() == named)?;
    let flag = format!("--{}", option.get_long()?);
    let is_given = arguments.iter().filter_map(|argument| argument.to_str()).any(|argument| {
        argument.strip_prefix(&flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    if is_given { None } else { variable_of(option) }
}

fn variable_of(option: &Arg) -> Option<String> {
    Some(option.get_env()?.to_str()?.to_owned())
}

/// The variables of the process that look like those of an option and are none, each with the one that was probably meant.
pub fn unknown_variables(program: Command) -> Vec<(String, Option<String>)> {
    unknown(program, env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

fn unknown(program: Command, names: impl Iterator<Item = String>) -> Vec<(String, Option<String>)> {
    let mut known = BTreeSet::from(OTHER_VARIABLES.map(str::to_owned));
    let mut commands = vec![program];
    while let Some(command) = commands.pop() {
        known.extend(command.get_arguments().filter_map(variable_of));
        commands.extend(command.get_subcommands().cloned());
    }
    let names: BTreeSet<_> = names.filter(|name| name.starts_with(PREFIX)).collect();
    let meant = |name: &str| {
        let words = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
        nearest(name.strip_prefix(PREFIX)?, words).map(|word| format!("{PREFIX}{word}"))
    };
    let unknown = names.iter().filter(|name| !known.contains(*name) && !is_of_a_cluster(name, &names));
    unknown.map(|name| (name.clone(), meant(name))).collect()
}

/// Whether Kubernetes sets this variable for a service whose name begins with `orders`: all of one service are there at once,
/// such as `ORDERS_API_SERVICE_HOST` and `ORDERS_API_PORT`.
fn is_of_a_cluster(name: &str, all: &BTreeSet<String>) -> bool {
    let mut services = all.iter().filter_map(|name| name.strip_suffix("_SERVICE_HOST"));
    services.any(|service| {
        let rest = name.strip_prefix(service);
        rest.is_some_and(|rest| {
            rest.starts_with("_SERVICE_") || rest == "_PORT" || rest.starts_with("_PORT_")
        })
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::config::Cli;

    fn mistake(line: &str) -> String {
        let words = line.split(' ');
        let error = Cli::try_parse_from(words.clone()).expect_err(line);
        one_line(&error, Cli::command(), words.skip(1).map(OsString::from))
    }

    #[test]
    fn an_error_names_the_command_whose_help_says_more() {
        for (line, command) in [
            ("orders-host", "orders-host"),
            ("orders-host --port 1", "orders-host"),
            ("orders-host srve", "orders-host"),
            ("orders-host serve", "orders-host serve"),
            ("orders-host serve --component x --listen localhost", "orders-host serve"),
            ("orders-host serve --listen localhost --component x", "orders-host serve"),
            ("orders-host serve --listen", "orders-host serve"),
            ("orders-host healthcheck --timeout 0s", "orders-host healthcheck"),
            ("orders-host healthcheck --path health", "orders-host healthcheck"),
            ("orders-host inspect", "orders-host inspect"),
            ("orders-host inspect x --max-memory much", "orders-host inspect"),
            ("orders-host compile x", "orders-host compile"),
            ("orders-host module", "orders-host module"),
            ("orders-host module push", "orders-host module push"),
            ("orders-host module push x --canary all", "orders-host module push"),
            ("orders-host module psh x", "orders-host module"),
            ("orders-host state", "orders-host state"),
            ("orders-host state import --no-such-option", "orders-host state import"),
        ] {
            let error = mistake(line);
            assert!(error.ends_with(&format!("; see `{command} --help`")), "{line}: {error}");
            assert!(!error.contains('\n') && !error.contains("variable"), "{line}: {error}");
        }
    }

    #[test]
    fn unknown_variables_are_named_with_what_was_probably_meant() {
        let names = |names: &[&str]| unknown(Cli::command(), names.iter().map(|name| (*name).to_owned()));
        assert_eq!(
            names(&["ORDERS_TIMEOUTS", "ORDERS_LOGFORMAT", "ORDERS_LOG_FILTER", "ORDERS_XYZ"]),
            [
                ("ORDERS_LOGFORMAT", Some("ORDERS_LOG_FORMAT")),
                ("ORDERS_LOG_FILTER", Some("ORDERS_LOG")),
                ("ORDERS_TIMEOUTS", Some("ORDERS_IDLE_TIMEOUT")),
                ("ORDERS_XYZ", None),
            ]
            .map(|(name, meant)| (name.to_owned(), meant.map(str::to_owned)))
        );
        for name in
            ["ORDERS_LOG", "ORDERS_ADMIN", "ORDERS_ADMIN_TOKEN", "ORDERS_FAULT", "PATH", "MY_ORDERS_LOG"]
        {
            assert_eq!(names(&[name]), [], "{name}");
        }
        let of_kubernetes = ["SERVICE_HOST", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP_ADDR"];
        for service in ["ORDERS", "ORDERS_API"] {
            let variables = of_kubernetes.map(|end| format!("{service}_{end}"));
            assert_eq!(names(&variables.each_ref().map(String::as_str)), [], "{service}");
            assert_eq!(names(&[&variables[2]]).len(), 1, "{service}");
        }
    }
}
