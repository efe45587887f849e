//! The table of routes. To add an operation, add a row and a function.

use super::change::{advance_order, update_order};
use super::checked::Checked;
use super::create::create_order;
use super::documents::{home, openapi, problem_page};
use super::output::JSON;
use super::read::{get_order, list_events, list_orders};
use super::services::Services;
use crate::headers::BodyType;
use crate::order::Action;
use crate::platform::Response;
use crate::problem::Problem;
use crate::query::{EventQuery, ListQuery};
use crate::router::{Body, ORDERS, OrderUse, Row, Scope};

/// An operation, which runs after the checks of its row.
pub(super) type Operation = fn(&mut Checked<'_>, &Services<'_>) -> Result<Response, Problem>;

const READ: Row<Operation> = Row {
    method: "GET",
    path: "",
    body: Body::None,
    offers: &[JSON],
    scope: Scope::Read,
    order: OrderUse::None,
    key: false,
    query: &[],
    run: list_orders,
};

const ADVANCE: Row<Operation> = Row {
    method: "POST",
    body: Body::Optional(BodyType::Json),
    scope: Scope::Write,
    order: OrderUse::Whole,
    ..READ
};

const DOCUMENT: Row<Operation> = Row { scope: Scope::Public, ..READ };

/// The rows of one path are neighbours, in the sequence of `Allow`.
pub(super) const ROUTES: &[Row<Operation>] = &[
    Row { path: ORDERS, query: ListQuery::PARAMETERS, run: list_orders, ..READ },
    Row {
        method: "POST",
        path: ORDERS,
        body: Body::Required(BodyType::Json),
        scope: Scope::Write,
        key: true,
        run: create_order,
        ..READ
    },
    Row { path: "/api/v1/orders/{id}", order: OrderUse::Whole, run: get_order, ..READ },
    Row {
        method: "PATCH",
        path: "/api/v1/orders/{id}",
        body: Body::Required(BodyType::MergePatch),
        scope: Scope::Write,
        order: OrderUse::Whole,
        run: update_order,
        ..READ
    },
    Row {
        path: "/api/v1/orders/{id}/confirm",
        run: |checked, services| advance_order(Action::Confirm, checked, services),
        ..ADVANCE
    },
    Row {
        path: "/api/v1/orders/{id}/ship",
        run: |checked, services| advance_order(Action::Ship, checked, services),
        ..ADVANCE
    },
    Row {
        path: "/api/v1/orders/{id}/deliver",
        run: |checked, services| advance_order(Action::Deliver, checked, services),
        ..ADVANCE
    },
    Row {
        path: "/api/v1/orders/{id}/cancel",
        run: |checked, services| advance_order(Action::Cancel, checked, services),
        ..ADVANCE
    },
    #[cfg(feature = "next")]
    Row {
        path: "/api/v1/orders/{id}/return",
        run: |checked, services| advance_order(Action::Return, checked, services),
        ..ADVANCE
    },
    Row {
        path: "/api/v1/orders/{id}/events",
        order: OrderUse::Part,
        query: EventQuery::PARAMETERS,
        run: list_events,
        ..READ
    },
    Row { path: "/", offers: &[], run: home, ..DOCUMENT },
    Row { path: "/openapi.json", run: openapi, ..DOCUMENT },
    Row { path: "/problems/{slug}", offers: &[JSON, "text/html"], run: problem_page, ..DOCUMENT },
];
