//! Failures of the store: what the client receives and what is logged.

use serde_json::json;

use crate::support::{Call, Service, TestResponse, minimal};

/// The response of every operation that uses the store.
fn responses(service: &Service, id: &str) -> Vec<TestResponse> {
    vec![
        service.post(minimal().to_string()),
        service.call(&mut Call::post(minimal().to_string()).header("idempotency-key", "k")),
        service.get("/api/v1/orders"),
        service.get("/api/v1/orders?status=pending"),
        service.get(&format!("/api/v1/orders/{id}")),
        service.get(&format!("/api/v1/orders/{id}/events")),
        service.patch(id, &json!({"notes": "n"})),
        service.act(id, "confirm"),
    ]
}

/// "Overload is 503 with `Retry-After`".
#[test]
fn an_unavailable_store_is_503_with_retry_after() {
    let service = Service::new();
    let id = service.create();
    service.store.failure.replace(Some("no route to 10.0.0.7".to_owned()));
    for response in responses(&service, &id) {
        let detail = response.problem(503, "store-unavailable");
        assert!(detail.contains("may or may not"), "{detail}");
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(response.0.cause.as_deref(), Some("no route to 10.0.0.7"));
        assert!(!response.text().contains("10.0.0.7"));
    }
}

/// "A record that cannot be read never costs a list": there, it is passed over and logged.
#[test]
fn a_corrupt_record_is_500() {
    let service = Service::new();
    let id = service.create();
    service.call(&mut Call::post(minimal().to_string()).header("idempotency-key", "k"));
    service.store.rewrite("", |record| record.chars().take(20).collect());
    // Without the create that has no key, because it reads nothing.
    for (index, response) in responses(&service, &id).iter().enumerate().skip(1) {
        let cause = response.0.cause.as_deref().unwrap();
        if [2, 3].contains(&index) {
            // The order that has just been created is listed.
            assert_eq!(response.json()["items"].as_array().unwrap().len(), 1);
            assert!(cause.starts_with("2 records are left out of a list"), "{cause}");
            continue;
        }
        response.problem(500, "internal-error");
        assert!(cause.starts_with("record o/") || cause.starts_with("record i/"), "{cause}");
        assert!(!response.text().contains(cause.split(' ').nth(1).unwrap()));
        assert_eq!(response.header("retry-after"), None);
    }
}

#[test]
fn an_id_that_is_in_use_is_replaced_by_another() {
    let service = Service::new();
    let first = service.post(minimal().to_string());
    service.random.0.set(1);
    let second = service.post(minimal().to_string());
    assert_eq!((first.status(), second.status()), (201, 201));
    assert_eq!(service.store.values("o/").len(), 2);
}
