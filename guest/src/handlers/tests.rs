//! The table of routes.

use super::routes::{Operation, ROUTES};
use crate::headers::BodyType;
use crate::problem::Problem;
use crate::router::{Body, Found, OrderUse, Row, Scope, find};

const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PATCH", "OPTIONS", "PUT", "DELETE", "TRACE", "get", "BREW"];

/// Finds the row for a method and a path: its method, its form of the path, and the parameter.
fn row(method: &str, path: &str) -> Option<(&'static str, &'static str, String)> {
    match find(ROUTES, method, path) {
        Ok(Found::Operation { row, parameter }) => Some((row.method, row.path, parameter)),
        _ => None,
    }
}

fn rejection(method: &str, path: &str) -> Option<Problem> {
    find(ROUTES, method, path).err()
}

#[test]
fn every_operation_is_found() {
    for (method, path, form, parameter) in [
        ("POST", "/api/v1/orders", "/api/v1/orders", ""),
        ("GET", "/api/v1/orders", "/api/v1/orders", ""),
        ("GET", "/api/v1/%6Frders/%78", "/api/v1/orders/{id}", "x"),
        ("PATCH", "/api/v1/orders/x%2Fy", "/api/v1/orders/{id}", "x%2Fy"),
        ("POST", "/api/v1/orders/x/ship", "/api/v1/orders/{id}/ship", "x"),
        ("GET", "/api/v1/orders/x/events", "/api/v1/orders/{id}/events", "x"),
        ("GET", "/", "/", ""),
        ("GET", "/problems/invalid-body", "/problems/{slug}", "invalid-body"),
    ] {
        assert_eq!(row(method, path), Some((method, form, parameter.to_owned())), "{method} {path}");
    }
    for path in ["/api/v1/orders", "/api/v1/orders/x", "/openapi.json"] {
        assert_eq!(row("HEAD", path), row("GET", path));
    }
}

#[test]
fn allow_lists_exactly_the_supported_methods() {
    for path in [
        "/api/v1/orders",
        "/api/v1/orders/x",
        "/api/v1/orders/x/confirm",
        "/api/v1/orders/x/ship",
        "/api/v1/orders/x/deliver",
        "/api/v1/orders/x/cancel",
        "/api/v1/orders/x/events",
        "/",
        "/openapi.json",
        "/problems/no-such-path",
    ] {
        let supported: Vec<_> =
            METHODS.into_iter().filter(|method| rejection(method, path).is_none()).collect();
        let rejected = rejection("BREW", path).unwrap().into_response(path);
        assert_eq!(rejected.status, 405);
        assert!(rejected.headers.contains(&("allow".into(), supported.join(", "))), "{rejected:?}");
        match find(ROUTES, "OPTIONS", path) {
            Ok(Found::Options { allow, accept_patch }) => {
                assert_eq!(allow, supported.join(", "));
                assert_eq!(accept_patch.is_some(), supported.contains(&"PATCH"));
            }
            _ => panic!("{path}"),
        }
    }
}

/// "route 404 → method 405".
#[test]
fn an_unknown_path_is_404_with_any_method() {
    for path in [
        "",
        "//",
        "/.",
        "*",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v1/order",
        "/api/v1/orders/",
        "/api/v1/ordersx",
        "/api/v1/orders/x/",
        "/api/v1/orders/x/y",
        "/api/v1/orders/x/Ship",
        "/api/v1/orders/x/ship/",
        "/api/v1/orders/x/events/1",
        "/api/v1/orders//ship",
        "/openapi.json/",
        "/problems",
        "/problems/",
        "/problems/unknown",
        "/problems/no-such-path/",
        "/api/v1/orders//",
        "/api/v1/orders//x",
        "//api/v1/orders",
        "/API/v1/orders",
        "/api/v2/orders",
        "/api/v1/orders%2Fx",
        "/api%2fv1/orders",
        "/x/api/v1/orders",
        "/health",
    ] {
        for method in METHODS {
            let rejected = rejection(method, path).unwrap().into_response(path);
            assert_eq!(rejected.status, 404, "{method} {path}");
        }
    }
}

/// What follows from the method and the path of a row.
#[test]
fn every_row_is_consistent() {
    let consistent = |row: &Row<Operation>| {
        let writes = row.method != "GET";
        let scope = match row.path {
            path if !path.starts_with("/api/") => Scope::Public,
            _ if writes => Scope::Write,
            _ => Scope::Read,
        };
        let patches = matches!(row.body, Body::Required(BodyType::MergePatch));
        row.scope == scope
            && (row.body != Body::None) == writes
            && patches == (row.method == "PATCH")
            && (row.order != OrderUse::None) == row.path.contains("{id}")
            && row.key == (row.path, row.method).eq(&("/api/v1/orders", "POST"))
    };
    for row in ROUTES {
        assert!(consistent(row), "{} {}", row.method, row.path);
    }
}
