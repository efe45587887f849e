//! What a client gets, and what the log gets, when the store fails.

use serde_json::json;

use crate::support::{Answer, Call, Service, minimal};

/// The answer of every operation that needs the store.
fn answers(service: &Service, id: &str) -> Vec<Answer> {
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
fn a_store_that_does_not_answer_is_503() {
    let service = Service::new();
    let id = service.create();
    service.store.failure.replace(Some("no route to 10.0.0.7".to_owned()));
    for answer in answers(&service, &id) {
        let detail = answer.problem(503, "store-unavailable");
        assert!(detail.contains("may or may not"), "{detail}");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.0.cause.as_deref(), Some("no route to 10.0.0.7"));
        assert!(!answer.text().contains("10.0.0.7"));
    }
}

#[test]
fn a_record_that_cannot_be_read_is_500() {
    let service = Service::new();
    let key = |call: &mut Call| service.call(call);
    let id = service.create();
    key(&mut Call::post(minimal().to_string()).header("idempotency-key", "k"));
    service.store.rewrite("", |record| record.chars().take(20).collect());
    // All but the create without a key, which reads nothing.
    for answer in &answers(&service, &id)[1..] {
        answer.problem(500, "internal-error");
        let cause = answer.0.cause.as_deref().unwrap();
        assert!(cause.starts_with("record o/") || cause.starts_with("record i/"), "{cause}");
        assert!(!answer.text().contains(cause.split(' ').nth(1).unwrap()));
        assert_eq!(answer.header("retry-after"), None);
    }
}

/// An id that is taken already is nothing a client did: another one is made.
#[test]
fn an_id_that_is_taken_is_made_anew() {
    let service = Service::new();
    let first = service.post(minimal().to_string());
    service.random.0.set(1);
    let second = service.post(minimal().to_string());
    assert_eq!((first.status(), second.status()), (201, 201));
    assert_eq!(service.store.values("o/").len(), 2);
}
