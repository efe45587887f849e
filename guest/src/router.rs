//! The form of the table of routes, and the search in it.

use crate::headers::BodyType;
use crate::problem::{Kind, Problem};
use crate::query::decode_unreserved;

/// The path of the orders. The path of one order appends a slash and the id.
pub(crate) const ORDERS: &str = "/api/v1/orders";

/// One row: an operation, and what is checked before it runs.
pub(crate) struct Row<Run> {
    pub(crate) method: &'static str,
    /// A segment in braces is a parameter: `{id}` is any text, `{slug}` that of a kind of problem.
    pub(crate) path: &'static str,
    pub(crate) body: Body,
    /// The media types of the response, the preferred one first. None: the response has no content.
    pub(crate) offers: &'static [&'static str],
    /// What a caller may have to be allowed. Nothing checks it yet.
    #[allow(dead_code, reason = "identity comes later; until then, tests see to it that each row has one")]
    pub(crate) scope: Scope,
    pub(crate) order: OrderUse,
    /// Whether the operation takes an `Idempotency-Key`.
    pub(crate) key: bool,
    /// The parameters that the query may have.
    pub(crate) query: &'static [&'static str],
    pub(crate) run: Run,
}

/// The request body of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// It is not read.
    None,
    Optional(BodyType),
    Required(BodyType),
}

/// What an operation has to do with the order that its path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderUse {
    /// The path names none.
    None,
    /// The resource is the order, so that preconditions are about its entity tag.
    Whole,
    /// The resource is a part of the order, without an entity tag of its own: preconditions do not apply (RFC 9110 §13.2.1).
    Part,
}

/// What a caller may have to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Public,
    Read,
    Write,
}

/// What is to be done for a method and a path.
pub(crate) enum Found<'table, Run> {
    Operation {
        row: &'table Row<Run>,
        /// The parameter in the path; empty if it has none.
        parameter: String,
    },
    /// OPTIONS: the methods that the path supports, and the type of a patch if one of them is PATCH.
    Options { allow: String, accept_patch: Option<BodyType> },
}

/// Finds the row for a method and a path without its query. Both are matched exactly, but unreserved characters of the path may be
/// percent-encoded (RFC 9110 §4.2.3). HEAD is routed like GET: the responses differ only in the content (RFC 9110 §9.3.2).
///
/// # Errors
/// [`Kind::NoSuchPath`]; [`Kind::MethodNotAllowed`] with `Allow` if the path exists.
pub(crate) fn find<'table, Run>(
    table: &'table [Row<Run>],
    method: &str,
    path: &str,
) -> Result<Found<'table, Run>, Problem> {
    let path = decode_unreserved(path);
    let mut rows = table.iter().filter(|row| parameter(row.path, &path).is_some()).peekable();
    if rows.peek().is_none() {
        return Err(Problem::new(
            Kind::NoSuchPath,
            "The API description at /openapi.json lists the paths of this service.",
        ));
    }
    let sought = if method == "HEAD" { "GET" } else { method };
    if let Some(row) = rows.clone().find(|row| row.method == sought) {
        let parameter = parameter(row.path, &path).unwrap_or_default().to_owned();
        return Ok(Found::Operation { row, parameter });
    }
    let methods = rows.clone().flat_map(|row| {
        if row.method == "GET" { &["GET", "HEAD"][..] } else { std::slice::from_ref(&row.method) }
    });
    let allow = methods.copied().chain(["OPTIONS"]).collect::<Vec<_>>().join(", ");
    if method == "OPTIONS" {
        let accept_patch = rows.find_map(|row| match row.body {
            Body::Required(BodyType::MergePatch) => Some(BodyType::MergePatch),
            _ => None,
        });
        return Ok(Found::Options { allow, accept_patch });
    }
    let detail = format!("This path supports the methods {allow}.");
    Err(Problem::new(Kind::MethodNotAllowed, detail).with_header("allow", &allow))
}

/// The parameter in a path of this form; empty if the form has none, `None` if the path has another form. Each request tries all forms,
/// so this compares bytes and splits nothing.
fn parameter<'path>(form: &str, path: &'path str) -> Option<&'path str> {
    let is_same = |(expected, found): &(u8, u8)| expected == found && *expected != b'{';
    let same = form.bytes().zip(path.bytes()).take_while(is_same).count();
    let (form, path) = (form.get(same..)?, path.get(same..)?);
    let Some((name, suffix)) = form.strip_prefix('{').and_then(|form| form.split_once('}')) else {
        return (form.is_empty() && path.is_empty()).then_some("");
    };
    let end = path.bytes().position(|byte| byte == b'/').unwrap_or(path.len());
    let (found, rest) = path.split_at_checked(end)?;
    let is_parameter = match name {
        "slug" => Kind::from_slug(found).is_some(),
        _ => !found.is_empty(),
    };
    (is_parameter && rest == suffix).then_some(found)
}
