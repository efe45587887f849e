//! What a client gets, and what the log gets, when the store fails.

use orders_guest::repo::RepoError;

use crate::support::{Answer, Service, minimal};

/// The answer of every operation to a store that fails this way.
fn answers(failure: &RepoError) -> Vec<Answer> {
    let service = Service::new();
    let id = service.create();
    service.repo.failure.replace(Some(failure.clone()));
    vec![
        service.post(minimal().to_string()),
        service.get("/api/v1/orders"),
        service.get(&format!("/api/v1/orders/{id}")),
    ]
}

/// "Overload is 503 with `Retry-After`".
#[test]
fn a_store_that_does_not_answer_is_503() {
    for answer in answers(&RepoError::Unavailable("no route to 10.0.0.7".to_owned())) {
        let detail = answer.problem(503, "store-unavailable");
        assert!(detail.contains("may or may not"), "{detail}");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.0.cause.as_deref(), Some("no route to 10.0.0.7"));
        assert!(!answer.text().contains("10.0.0.7"));
    }
}

#[test]
fn a_record_that_cannot_be_read_is_500() {
    let failure = RepoError::Corrupt { key: "o/secret".to_owned(), cause: "not JSON".to_owned() };
    for answer in answers(&failure) {
        answer.problem(500, "internal-error");
        assert_eq!(answer.0.cause.as_deref(), Some("record o/secret: not JSON"));
        assert!(!answer.text().contains("secret") && !answer.text().contains("not JSON"));
        assert_eq!(answer.header("retry-after"), None);
    }
}

#[test]
fn a_spoilt_record_is_found_by_reading_it() {
    let service = Service::new();
    let id = service.create();
    for record in service.repo.records.borrow_mut().values_mut() {
        record.truncate(20);
    }
    service.get(&format!("/api/v1/orders/{id}")).problem(500, "internal-error");
    service.get("/api/v1/orders").problem(500, "internal-error");
}

/// An id that is taken already is nothing a client did; trying again brings another one.
#[test]
fn an_id_that_is_taken_is_503_and_changes_nothing() {
    let service = Service::new();
    let first = service.post(minimal().to_string());
    let stored = service.repo.records.borrow().clone();
    service.random.0.set(1);
    let answer = service.post(minimal().to_string());
    let detail = answer.problem(503, "store-unavailable");
    assert!(detail.contains("nothing was changed"), "{detail}");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(*service.repo.records.borrow(), stored);
    assert_eq!(stored.into_values().collect::<Vec<_>>(), [first.0.body]);
}
