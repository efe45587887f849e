//! Finds the operation for a method and a path.

use crate::headers::BodyType;
use crate::order::Action;
use crate::problem::{Kind, Problem};

/// The path of the orders. The path of one order appends a slash and the id.
pub(crate) const ORDERS: &str = "/api/v1/orders";
const HOME: &str = "/";
const OPENAPI: &str = "/openapi.json";
const PROBLEMS: &str = "/problems/";

/// An operation, with its parameters from the path, such as the segment that contains an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'path> {
    CreateOrder,
    ListOrders,
    GetOrder(&'path str),
    UpdateOrder(&'path str),
    AdvanceOrder(&'path str, Action),
    ListEvents(&'path str),
    Home,
    OpenApi,
    ProblemPage(Kind),
    /// The methods that a path supports.
    Options {
        allow: &'static str,
        accept_patch: Option<BodyType>,
    },
}

impl Route<'_> {
    /// Whether the operation reads the request body.
    pub(crate) const fn reads_body(&self) -> bool {
        matches!(self, Self::CreateOrder | Self::UpdateOrder(_) | Self::AdvanceOrder(..))
    }
}

/// Finds the operation for a method and a path without its query. Both are matched exactly. HEAD is routed like GET: the
/// responses differ only in the content (RFC 9110 §9.3.2).
///
/// # Errors
/// [`Kind::NoSuchPath`]; [`Kind::MethodNotAllowed`] with `Allow` if the path exists.
pub(crate) fn route<'path>(method: &str, path: &'path str) -> Result<Route<'path>, Problem> {
    let resource = Resource::at(path).ok_or_else(|| {
        Problem::new(
            Kind::NoSuchPath,
            "The API description at /openapi.json lists the paths of this service.",
        )
    })?;
    resource.operation(method).ok_or_else(|| {
        let allow = resource.allow();
        let detail = format!("This path supports the methods {allow}.");
        Problem::new(Kind::MethodNotAllowed, detail).with_header("allow", allow)
    })
}

/// A resource, independent of the method.
#[derive(Debug, Clone, Copy)]
enum Resource<'path> {
    Orders,
    Order(&'path str),
    Action(&'path str, Action),
    Events(&'path str),
    Home,
    OpenApi,
    Problem(Kind),
}

impl<'path> Resource<'path> {
    fn at(path: &'path str) -> Option<Self> {
        match path {
            HOME => return Some(Self::Home),
            OPENAPI => return Some(Self::OpenApi),
            _ => {}
        }
        if let Some(slug) = path.strip_prefix(PROBLEMS) {
            return Kind::from_slug(slug).map(Self::Problem);
        }
        let Some(below) = path.strip_prefix(ORDERS)?.strip_prefix('/') else {
            return (path == ORDERS).then_some(Self::Orders);
        };
        let (id, last) = below.split_once('/').map_or((below, None), |(id, last)| (id, Some(last)));
        match last {
            _ if id.is_empty() => None,
            None => Some(Self::Order(id)),
            Some("events") => Some(Self::Events(id)),
            Some(last) => Action::from_name(last).map(|action| Self::Action(id, action)),
        }
    }

    fn operation(self, method: &str) -> Option<Route<'path>> {
        Some(match (self, method) {
            (_, "OPTIONS") => {
                let accept_patch = matches!(self, Self::Order(_)).then_some(BodyType::MergePatch);
                Route::Options { allow: self.allow(), accept_patch }
            }
            (Self::Orders, "GET" | "HEAD") => Route::ListOrders,
            (Self::Orders, "POST") => Route::CreateOrder,
            (Self::Order(id), "GET" | "HEAD") => Route::GetOrder(id),
            (Self::Order(id), "PATCH") => Route::UpdateOrder(id),
            (Self::Action(id, action), "POST") => Route::AdvanceOrder(id, action),
            (Self::Events(id), "GET" | "HEAD") => Route::ListEvents(id),
            (Self::Home, "GET" | "HEAD") => Route::Home,
            (Self::OpenApi, "GET" | "HEAD") => Route::OpenApi,
            (Self::Problem(kind), "GET" | "HEAD") => Route::ProblemPage(kind),
            _ => return None,
        })
    }

    /// The methods that have an [`operation`](Self::operation), for the `Allow` header (RFC 9110 §10.2.1).
    const fn allow(self) -> &'static str {
        match self {
            Self::Orders => "GET, HEAD, POST, OPTIONS",
            Self::Order(_) => "GET, HEAD, PATCH, OPTIONS",
            Self::Action(..) => "POST, OPTIONS",
            Self::Events(_) | Self::Home | Self::OpenApi | Self::Problem(_) => "GET, HEAD, OPTIONS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Kind, Route, route};

    const METHODS: [&str; 10] =
        ["GET", "HEAD", "POST", "PATCH", "OPTIONS", "PUT", "DELETE", "TRACE", "get", "BREW"];

    #[test]
    fn every_operation_has_its_route() {
        for (method, path, expected) in [
            ("POST", "/api/v1/orders", Route::CreateOrder),
            ("GET", "/api/v1/orders", Route::ListOrders),
            ("HEAD", "/api/v1/orders", Route::ListOrders),
            ("GET", "/api/v1/orders/x", Route::GetOrder("x")),
            ("HEAD", "/api/v1/orders/x", Route::GetOrder("x")),
            ("PATCH", "/api/v1/orders/x", Route::UpdateOrder("x")),
            ("POST", "/api/v1/orders/x/ship", Route::AdvanceOrder("x", Action::Ship)),
            ("GET", "/api/v1/orders/x/events", Route::ListEvents("x")),
            ("GET", "/", Route::Home),
            ("HEAD", "/openapi.json", Route::OpenApi),
            ("GET", "/problems/invalid-body", Route::ProblemPage(Kind::InvalidBody)),
        ] {
            assert_eq!(route(method, path).ok(), Some(expected), "{method} {path}");
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
                METHODS.into_iter().filter(|method| route(method, path).is_ok()).collect();
            let rejection = route("BREW", path).unwrap_err().into_response(path);
            assert_eq!(rejection.status, 405);
            assert!(rejection.headers.contains(&("allow".into(), supported.join(", "))), "{rejection:?}");
            match route("OPTIONS", path) {
                Ok(Route::Options { allow, accept_patch }) => {
                    assert_eq!(allow, supported.join(", "));
                    assert_eq!(accept_patch.is_some(), supported.contains(&"PATCH"));
                }
                other => panic!("{path}: {other:?}"),
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
            "/api/v1/%6Frders",
            "/x/api/v1/orders",
            "/health",
        ] {
            for method in METHODS {
                let rejection = route(method, path).unwrap_err().into_response(path);
                assert_eq!(rejection.status, 404, "{method} {path}");
            }
        }
    }
}
