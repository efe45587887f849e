//! Settings that cannot be right end the start, and the error says what would be right.

use crate::harness::{CommandOutput, TestHost, orders, run, run_with};

/// Runs `serve` with options that must end the start with one line.
async fn refused(variables: &[(&str, &str)], options: &[&str]) -> String {
    let component = orders().display().to_string();
    let arguments = ["serve", "--component", &component, "--store", "memory:", "--admin-listen", "off"];
    let CommandOutput { code, stdout, stderr } = run_with(variables, arguments.iter().chain(options)).await;
    assert_eq!(
        (code, stdout.as_str(), stderr.lines().count()),
        (Some(2), "", 1),
        "{variables:?} {options:?}: {stderr}"
    );
    stderr
}

#[tokio::test]
async fn a_value_that_cannot_be_right_ends_the_start() {
    for (option, value, says) in [
        // Each of these switched off everything, errors included.
        ("--log", "warning", &["`warning` is no level: write `warn`"][..]),
        ("--log", "info,acces=warn", &["`acces` is no target: write `access`"]),
        ("--log", "access", &["`access` is a target", "`access=warn`"]),
        ("--log", "", &["the levels are off, error, warn, info, debug, trace"]),
        ("--log", "info,debug", &["`debug` is a second level"]),
        ("--log", "3", &["`3` is no level"]),
        ("--access-log", "none", &["all, errors, off"]),
        ("--trusted-proxies", "10.0.0.1/16", &["write `10.0.0.0/16`"]),
        ("--trusted-proxies", "balancer", &["`10.0.0.0/16`"]),
        ("--smoke", "POST /x", &["GET or HEAD", "`GET /path 200`"]),
        ("--listen", "localhost:8080", &["`localhost` is a name", "`127.0.0.1:8080`", "`0.0.0.0:8080`"]),
        ("--listen", ":8080", &["the address before the port is missing", "`0.0.0.0:8080`"]),
        ("--listen", "127.0.0.1", &["`127.0.0.1:8080`"]),
        ("--listen", "8080", &["`127.0.0.1:8080`"]),
        ("--listen", "::1:x", &["`127.0.0.1:8080`"]),
        ("--listen", "127.0.0.1:99999", &["`127.0.0.1:8080`"]),
    ] {
        let stderr = refused(&[], &["--listen", "127.0.0.1:0", option, value]).await;
        for says in says.iter().chain([&option, &"see `orders-host serve --help`"]) {
            assert!(stderr.contains(says), "{option} {value}: no {says:?} in {stderr}");
        }
    }
    for (option, value, says) in [
        ("--timeout", "0s", "longer than zero"),
        ("--path", "health", "begins with `/`"),
        ("--listen", "localhost:8080", "`localhost` is a name"),
    ] {
        let ran = run(["healthcheck", option, value]).await;
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{option}: {}", ran.stderr);
        for says in [option, says, "see `orders-host healthcheck --help`"] {
            assert!(ran.stderr.contains(says), "{option}: no {says:?} in {}", ran.stderr);
        }
    }
}

#[tokio::test]
async fn an_error_names_the_variable_or_the_option_that_a_value_comes_from() {
    for (variable, value, option) in [
        ("ORDERS_LOG", "warning", "--log"),
        ("ORDERS_LISTEN", ":8080", "--listen"),
        ("ORDERS_SMOKE", "GET", "--smoke"),
    ] {
        let stderr = refused(&[(variable, value)], &[]).await;
        assert!(
            stderr.contains(option) && stderr.contains(&format!("from the variable {variable}")),
            "{stderr}"
        );
        let stderr = refused(&[(variable, value)], &[option, "?"]).await;
        assert!(stderr.contains(option) && !stderr.contains("from the variable"), "{stderr}");
    }
    // A store is not quoted if it may contain a password.
    for (value, says) in [
        ("orders.db", "invalid value 'orders.db' for '--store <STORE>'"),
        ("postgres:ada:secret@db.example", "invalid value for '--store <STORE>'"),
    ] {
        let variables = [("ORDERS_STORE", value), ("ORDERS_COMPONENT", "x")];
        for (arguments, is_from_variable) in [(&["serve"][..], true), (&["serve", "--store", value], false)] {
            let ran = run_with(&variables, arguments).await;
            assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
            assert!(ran.stderr.contains(says) && !ran.stderr.contains("secret"), "{}", ran.stderr);
            let from_variable = ran.stderr.contains("(from the variable ORDERS_STORE)");
            assert_eq!(from_variable, is_from_variable, "{}", ran.stderr);
        }
    }
    let stderr = refused(&[], &["--admin-listen", "127.0.0.1:0", "--admin-token-file", "/no/such"]).await;
    assert!(stderr.contains("cannot read --admin-token-file /no/such: No such file"), "{stderr}");
}

/// A compose file makes an empty variable of `${X:-}`.
#[tokio::test]
async fn an_empty_list_has_no_values_and_spaces_in_a_list_do_not_count() {
    let lists = ["ORDERS_TRUSTED_PROXIES", "ORDERS_SMOKE", "ORDERS_ALLOW_OUTBOUND"];
    let host = TestHost::start_with(&orders(), &[], &lists.map(|list| (list, ""))).await;
    assert!(host.log().lines().iter().any(|line| line["event"] == "rollout.no_smoke_requests"));
    let values = [
        "10.0.0.0/16, ::1",
        " GET /api/v1/orders ; GET /api/v1/orders?limit=1 200",
        "a.example, b.example:8080 ",
    ];
    TestHost::start_with(&orders(), &[], &[0, 1, 2].map(|list| (lists[list], values[list]))).await;
}

#[tokio::test]
async fn a_variable_that_no_option_reads_is_a_warning() {
    let variables = [
        ("ORDERS_LOGFORMAT", "text"),
        ("ORDERS_PORT", "tcp://10.0.0.1:80"),
        ("ORDERS_SERVICE_HOST", "10.0.0.1"),
    ];
    let host = TestHost::start_with(&orders(), &[], &variables).await;
    let lines = host.log().lines();
    let unknown: Vec<_> = lines.iter().filter(|line| line["event"] == "config.unknown_variable").collect();
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert_eq!(
        (&unknown[0]["variable"], &unknown[0]["meant"]),
        (&"ORDERS_LOGFORMAT".into(), &"ORDERS_LOG_FORMAT".into())
    );
}
