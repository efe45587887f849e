//! GET and HEAD /api/v1/orders/{id}.

use crate::support::{Call, Service, full};

/// "200 with an `ETag`".
#[test]
fn get_returns_the_created_order() {
    let service = Service::new();
    let created = service.post(full().to_string());
    let response = service.get(created.header("location").unwrap());
    assert_eq!(response.status(), 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("etag"), Some("\"1-2\""));
    assert_eq!(response.text(), created.text());
}

#[test]
fn the_entity_tag_is_the_version() {
    let service = Service::new();
    let id = service.create();
    service.store.rewrite("o/", |order| {
        order.replace("\"version\":1", "\"version\":42").replace("pending", "shipped")
    });
    let response = service.get(&format!("/api/v1/orders/{id}"));
    assert_eq!(response.header("etag"), Some("\"42-2\""));
    assert_eq!(response.json()["status"], "shipped");
}

/// "Ids may be in upper case and are written in lower case"; unreserved characters may be percent-encoded.
#[test]
fn an_id_has_one_spelling_in_responses_and_several_in_requests() {
    let service = Service::new();
    let id = service.create();
    let upper = id.to_uppercase();
    let encoded = format!("%30{}", id.strip_prefix('0').unwrap().replace('-', "%2D"));
    for spelling in [&upper, &encoded] {
        let response = service.get(&format!("/api/v1/orders/{spelling}"));
        assert_eq!((response.status(), &response.json()["id"]), (200, &id.as_str().into()), "{spelling}");
        assert_eq!(service.get(&format!("/api/v1/%6Frders/{spelling}/%65vents")).status(), 200);
    }
    service.patch(&upper, &serde_json::json!({"notes": "n"}));
    let page = service.get(&format!("/api/v1/orders/{upper}/events?limit=1"));
    let link = page.header("link").unwrap();
    assert!(link.starts_with(&format!("</api/v1/orders/{id}/events?limit=1&cursor=")), "{link}");
}

/// "404 (a malformed id too)".
#[test]
fn an_unknown_or_malformed_id_is_404() {
    let service = Service::new();
    let id = service.create();
    for id in [
        "01890000-0000-7000-8000-000000000000",
        "00000000-0000-0000-0000-000000000000",
        &id.replace('-', ""),
        &format!("%2F{id}"),
        &format!("{{{id}}}"),
        &format!("{id}0"),
        "x",
        "..",
        "é",
    ] {
        let response = service.get(&format!("/api/v1/orders/{id}"));
        assert_eq!(response.problem(404, "order-not-found"), "No order has this id.");
        assert_eq!(response.json()["instance"], format!("/api/v1/orders/{id}"));
    }
}

#[test]
fn head_returns_the_headers_of_get_without_content() {
    let service = Service::new();
    let id = service.create();
    let paths = [
        format!("/api/v1/orders/{id}"),
        "/api/v1/orders/none".to_owned(),
        "/api/v1/orders?limit=1".to_owned(),
        "/api/v1/orders?limit=x".to_owned(),
        "/nowhere".to_owned(),
    ];
    service.create();
    for path in paths {
        let get = service.call(&mut Call::new("GET", &path).header("x-request-id", "same"));
        let head = service.call(&mut Call::new("HEAD", &path).header("x-request-id", "same"));
        assert_eq!((head.status(), &head.0.headers), (get.status(), &get.0.headers), "{path}");
        assert!(head.0.body.is_empty() && !get.0.body.is_empty());
        assert_eq!(head.header("content-length"), Some(get.0.body.len().to_string().as_str()));
    }
}
