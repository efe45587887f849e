//! Which operation a request asks for.

use crate::problem::{Kind, Problem};

/// What every path of the API begins with.
pub(crate) const ORDERS: &str = "/api/v1/orders";

/// An operation, with what the path says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'path> {
    CreateOrder,
    ListOrders,
    /// With the segment that should be an id.
    GetOrder(&'path str),
}

/// Finds the operation for a method and a path (without its query). Both are matched exactly. HEAD is routed as
/// GET: the answer differs in nothing but its missing content (RFC 9110 §9.3.2).
///
/// # Errors
/// [`Kind::NoSuchPath`], and only if the path exists [`Kind::MethodNotAllowed`], with `Allow`.
pub(crate) fn route<'path>(method: &str, path: &'path str) -> Result<Route<'path>, Problem> {
    let resource = Resource::at(path).ok_or_else(|| {
        Problem::new(Kind::NoSuchPath, "The paths of this service are in its API description.")
    })?;
    match (resource, method) {
        (Resource::Orders, "GET" | "HEAD") => Ok(Route::ListOrders),
        (Resource::Orders, "POST") => Ok(Route::CreateOrder),
        (Resource::Order(id), "GET" | "HEAD") => Ok(Route::GetOrder(id)),
        _ => {
            let allow = resource.allow();
            let detail = format!("The methods of this path are: {allow}.");
            Err(Problem::new(Kind::MethodNotAllowed, detail).header("allow", allow))
        }
    }
}

/// What there is, whatever is done with it.
#[derive(Debug, Clone, Copy)]
enum Resource<'path> {
    Orders,
    Order(&'path str),
}

impl<'path> Resource<'path> {
    fn at(path: &'path str) -> Option<Self> {
        let mut segments = path.strip_prefix(ORDERS)?.split('/');
        match (segments.next(), segments.next(), segments.next()) {
            (Some(""), None, None) => Some(Self::Orders),
            (Some(""), Some(id), None) if !id.is_empty() => Some(Self::Order(id)),
            _ => None,
        }
    }

    /// The methods that [`route`] knows for it, for the `Allow` of a 405 (RFC 9110 §15.5.6).
    const fn allow(self) -> &'static str {
        match self {
            Self::Orders => "GET, HEAD, POST",
            Self::Order(_) => "GET, HEAD",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Route, route};

    const METHODS: [&str; 10] =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "BREW"];

    #[test]
    fn routes() {
        for (method, path, expected) in [
            ("POST", "/api/v1/orders", Route::CreateOrder),
            ("GET", "/api/v1/orders", Route::ListOrders),
            ("HEAD", "/api/v1/orders", Route::ListOrders),
            ("GET", "/api/v1/orders/x", Route::GetOrder("x")),
            ("HEAD", "/api/v1/orders/x", Route::GetOrder("x")),
        ] {
            assert_eq!(route(method, path).ok(), Some(expected), "{method} {path}");
        }
    }

    /// `Allow` names exactly the methods that work.
    #[test]
    fn allow_is_what_works() {
        for path in ["/api/v1/orders", "/api/v1/orders/x"] {
            let works: Vec<_> = METHODS.into_iter().filter(|method| route(method, path).is_ok()).collect();
            let refusal = route("BREW", path).unwrap_err().into_response(path);
            assert_eq!(refusal.status, 405);
            assert!(refusal.headers.contains(&("allow", works.join(", "))), "{refusal:?}");
        }
    }

    /// "route 404 → method 405": a path that does not exist is 404 with any method.
    #[test]
    fn other_paths_are_404_with_any_method() {
        for path in [
            "",
            "/",
            "*",
            "/api",
            "/api/v1",
            "/api/v1/",
            "/api/v1/order",
            "/api/v1/orders/",
            "/api/v1/ordersx",
            "/api/v1/orders/x/",
            "/api/v1/orders/x/y",
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
                let refusal = route(method, path).unwrap_err().into_response(path);
                assert_eq!(refusal.status, 404, "{method} {path}");
            }
        }
    }
}
