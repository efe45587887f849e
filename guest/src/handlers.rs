//! One function an operation, and what all their answers have in common.

use serde::Serialize;

use crate::content::require_json;
use crate::cursor;
use crate::json;
use crate::order::{NewOrder, Order, OrderId, Timestamp};
use crate::platform::{Clock, Random};
use crate::problem::{Kind, Problem};
use crate::query::PageQuery;
use crate::repo::OrderRepo;
use crate::request::{Request, Response};
use crate::router::{ORDERS, Route, route};
use crate::uuid::Uuid;

/// The most that a body may have, in bytes: 1 MiB, as the contract has it.
const MAX_BODY: usize = 1_048_576;

/// What the handlers need from outside. They are borrowed for one request.
#[derive(Clone, Copy)]
pub struct Services<'services> {
    /// Where the orders are.
    pub repo: &'services dyn OrderRepo,
    /// When now is.
    pub clock: &'services dyn Clock,
    /// What makes ids unique.
    pub random: &'services dyn Random,
}

/// Answers a request. Every error is an answer too.
#[must_use]
pub fn handle(request: &mut dyn Request, services: &Services<'_>) -> Response {
    let request_id = request_id(request, services);
    let mut response = match answer(request, services) {
        Ok(response) => response,
        Err(problem) => problem.into_response(path_and_query(request).0),
    };
    response.headers.extend([
        ("content-length", response.body.len().to_string()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("x-request-id", request_id),
    ]);
    if request.method() == "HEAD" {
        response.body = Vec::new();
    }
    response
}

fn answer(request: &mut dyn Request, services: &Services<'_>) -> Result<Response, Problem> {
    let (path, query) = path_and_query(request);
    match route(request.method(), path)? {
        Route::CreateOrder => create_order(request, services),
        Route::ListOrders => list_orders(query, services),
        Route::GetOrder(id) => get_order(id, services),
    }
}

/// POST /api/v1/orders. The body is read before its type is looked at: 413 comes before 415.
fn create_order(request: &mut dyn Request, services: &Services<'_>) -> Result<Response, Problem> {
    let body = request.body(MAX_BODY)?;
    require_json(request)?;
    let document = json::parse(&body).map_err(|detail| Problem::new(Kind::MalformedJson, detail))?;
    let new = NewOrder::from_json(document)?;
    let now = Timestamp::from_unix_ms(services.clock.now_ms());
    let order = Order::create(new, now, services.random.bytes16());
    services.repo.insert(&order)?;
    Ok(order_response(201, &order)?.header("location", format!("{ORDERS}/{}", order.id)))
}

/// GET /api/v1/orders
fn list_orders(query: Option<&str>, services: &Services<'_>) -> Result<Response, Problem> {
    let PageQuery { limit, before } = PageQuery::parse(query)?;
    let page = services.repo.page(before, u32::from(limit))?;
    let next_cursor = page.orders.last().filter(|_| page.more).map(|last| cursor::encode(last.id));
    let link = next_cursor
        .as_ref()
        .map(|cursor| ("link", format!("<{ORDERS}?limit={limit}&cursor={cursor}>; rel=\"next\"")));
    let mut response = json_response(200, &List { items: &page.orders, next_cursor })?
        .header("cache-control", "private, no-cache".to_owned());
    response.headers.extend(link);
    Ok(response)
}

#[derive(Serialize)]
struct List<'page> {
    items: &'page [Order],
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// GET /api/v1/orders/{id}. Text that cannot be an id names no order.
fn get_order(id: &str, services: &Services<'_>) -> Result<Response, Problem> {
    let order = OrderId::parse(id).map(|id| services.repo.find(id)).transpose()?.flatten();
    match order {
        Some(order) => order_response(200, &order),
        None => Err(Problem::new(Kind::OrderNotFound, "No order has this id.")),
    }
}

fn order_response(status: u16, order: &Order) -> Result<Response, Problem> {
    Ok(json_response(status, order)?.header("etag", format!("\"{}\"", order.version)))
}

fn json_response(status: u16, content: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(content).map_err(|error| {
        Problem::new(Kind::InternalError, "The answer cannot be written.").cause(error.to_string())
    })?;
    let headers = vec![("content-type", "application/json".to_owned())];
    Ok(Response { status, headers, body, cause: None })
}

impl Response {
    /// With one more field. `name` is lower case.
    fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The request target up to the first `?`, and what follows that.
fn path_and_query(request: &dyn Request) -> (&str, Option<&str>) {
    let target = request.path_and_query();
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

/// The caller's request id if it gives exactly one, of 1…128 visible ASCII characters; otherwise a new one.
fn request_id(request: &dyn Request, services: &Services<'_>) -> String {
    let visible = |value: &Vec<u8>| {
        (1..=128).contains(&value.len()) && value.iter().all(|byte| matches!(byte, 0x21..=0x7e))
    };
    let given = <[Vec<u8>; 1]>::try_from(request.header("x-request-id")).ok();
    given
        .filter(|[value]| visible(value))
        .and_then(|[value]| String::from_utf8(value).ok())
        .unwrap_or_else(|| Uuid::v4(services.random.bytes16()).to_string())
}
