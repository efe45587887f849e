//! POST /api/v1/orders/{id}/confirm, /ship, /deliver, /cancel, and GET …/events.

use serde_json::{Value, json};

use crate::support::{Call, Service};

const ACTIONS: [(&str, &str); 4] =
    [("confirm", "confirmed"), ("ship", "shipped"), ("deliver", "delivered"), ("cancel", "cancelled")];

/// The actions that lead to each state.
const WAYS: [(&str, &[&str]); 5] = [
    ("pending", &[]),
    ("confirmed", &["confirm"]),
    ("shipped", &["confirm", "ship"]),
    ("delivered", &["confirm", "ship", "deliver"]),
    ("cancelled", &["cancel"]),
];

/// "pending → confirmed → shipped → delivered; pending or confirmed → cancelled."
const STEPS: [(&str, &[&str]); 5] = [
    ("pending", &["confirm", "cancel"]),
    ("confirmed", &["ship", "cancel"]),
    ("shipped", &["deliver"]),
    ("delivered", &[]),
    ("cancelled", &[]),
];

/// An order that has gone this way.
fn order_after(service: &Service, way: &[&str]) -> String {
    let id = service.create();
    for action in way {
        assert_eq!(service.act(&id, action).status(), 200);
    }
    id
}

fn events(service: &Service, id: &str) -> Vec<Value> {
    let page = service.get(&format!("/api/v1/orders/{id}/events?limit=100")).json();
    page["items"].as_array().unwrap().clone()
}

/// Every action in every state: a step, a repeat, or a conflict that says what can be done instead.
#[test]
fn the_state_table() {
    for ((state, way), (_, allowed)) in WAYS.into_iter().zip(STEPS) {
        for (action, target) in ACTIONS {
            let service = Service::new();
            let id = order_after(&service, way);
            let before = service.get(&format!("/api/v1/orders/{id}"));
            let version = before.json()["version"].as_u64().unwrap();
            service.clock.0.set(service.clock.0.get() + 1000);
            let answer = service.act(&id, action);
            let after = service.get(&format!("/api/v1/orders/{id}"));
            if allowed.contains(&action) {
                assert_eq!(answer.status(), 200, "{action} in {state}");
                assert_eq!(answer.json()["status"], target);
                assert_eq!(answer.json()["version"], version + 1);
                assert_eq!(answer.header("etag"), Some(format!("\"{}\"", version + 1).as_str()));
                assert_eq!(answer.text(), after.text());
                assert_eq!(answer.json()["created_at"], before.json()["created_at"]);
                assert_ne!(answer.json()["updated_at"], before.json()["updated_at"]);
                continue;
            }
            assert_eq!(after.text(), before.text(), "nothing changed: {action} in {state}");
            if state == target {
                assert_eq!((answer.status(), answer.text()), (200, before.text()), "a repeat");
                assert_eq!(answer.header("etag"), before.header("etag"));
            } else {
                answer.problem(409, "transition-not-allowed");
                assert_eq!(answer.json()["order_status"], state);
                assert_eq!(answer.json()["allowed"], json!(allowed));
                assert_eq!(answer.json()["status"], 409);
            }
        }
    }
}

/// Every change leaves one event, numbered by the version it made, in the same commit.
#[test]
fn events_tell_the_life_of_an_order() {
    let service = Service::new();
    let id = service.create();
    service.act(&id, "confirm");
    service.act(&id, "confirm");
    service.patch(&id, &json!({"notes": "n"}));
    let ship = format!("/api/v1/orders/{id}/ship");
    let body = json!({"tracking": "JD0146"}).to_string();
    service.clock.0.set(service.clock.0.get() + 1000);
    assert_eq!(
        service
            .call(&mut Call::new("POST", &ship).header("content-type", "application/json").body(&body))
            .status(),
        200
    );
    service.act(&id, "cancel").problem(409, "transition-not-allowed");
    service.act(&id, "deliver");
    let told: Vec<_> = events(&service, &id)
        .into_iter()
        .map(|event| {
            (event["seq"].clone(), event["type"].clone(), event["tracking"].clone(), event["changed"].clone())
        })
        .collect();
    let null = Value::Null;
    assert_eq!(
        told,
        [
            (json!(1), json!("created"), null.clone(), null.clone()),
            (json!(2), json!("confirmed"), null.clone(), null.clone()),
            (json!(3), json!("updated"), null.clone(), json!(["notes"])),
            (json!(4), json!("shipped"), json!("JD0146"), null.clone()),
            (json!(5), json!("delivered"), null.clone(), null),
        ]
    );
    let order = service.get(&format!("/api/v1/orders/{id}")).json();
    assert_eq!(events(&service, &id)[4]["occurred_at"], order["updated_at"]);
    assert_eq!(events(&service, &id)[0]["occurred_at"], order["created_at"]);
}

/// "`tracking` for ship, `reason` for cancel", and nothing else.
#[test]
fn what_can_be_said_of_an_action() {
    let long = |count: usize| "é".repeat(count);
    for (way, action, body, fault) in [
        (&["confirm"][..], "ship", json!({"tracking": long(200)}), None),
        (&["confirm"], "ship", json!({"tracking": long(201)}), Some("/tracking")),
        (&["confirm"], "ship", json!({"tracking": " "}), Some("/tracking")),
        (&["confirm"], "ship", json!({"tracking": null}), Some("/tracking")),
        (&["confirm"], "ship", json!({"reason": "x"}), Some("/reason")),
        (&["confirm"], "ship", json!({}), None),
        (&[], "cancel", json!({"reason": long(500)}), None),
        (&[], "cancel", json!({"reason": long(501)}), Some("/reason")),
        (&[], "cancel", json!({"reason": "", "why": 1}), Some("/reason")),
        (&[], "cancel", json!({"tracking": "x"}), Some("/tracking")),
        (&[], "confirm", json!({}), None),
        (&[], "confirm", json!({"note": "x"}), Some("/note")),
        (&[], "confirm", json!([]), Some("")),
        (&["confirm", "ship"], "deliver", json!({"at": 1}), Some("/at")),
    ] {
        let service = Service::new();
        let id = order_after(&service, way);
        let path = format!("/api/v1/orders/{id}/{action}");
        let mut call =
            Call::new("POST", &path).header("content-type", "application/json").body(body.to_string());
        let answer = service.call(&mut call);
        match fault {
            None => {
                assert_eq!(answer.status(), 200, "{body}: {answer:?}");
                let last = events(&service, &id).pop().unwrap();
                for name in ["tracking", "reason"] {
                    assert_eq!(last[name], body[name]);
                }
            }
            Some(pointer) => assert_eq!(answer.faults()[0].0, pointer, "{body}"),
        }
    }
}

/// "optional JSON": none at all, or one of the right type.
#[test]
fn a_body_is_optional_but_must_be_json() {
    let service = Service::new();
    let path = format!("/api/v1/orders/{}/confirm", service.create());
    let call = |body: &str| Call::new("POST", &path).body(body);
    service.call(&mut call("{}")).problem(415, "unsupported-content");
    service.call(&mut call("{}").header("content-type", "text/plain")).problem(415, "unsupported-content");
    service.call(&mut call("{").header("content-type", "application/json")).problem(400, "malformed-json");
    let answer = service.call(&mut call("").header("content-type", "text/plain"));
    assert_eq!((answer.status(), &answer.json()["version"]), (200, &json!(2)), "no body has no type");
    assert_eq!(service.call(&mut call("")).status(), 200);
}

/// "route 404 → 405 → 413 → 406/415 → resource 404 → 412 → syntax 400 → meaning 422 → state 409": each request
/// breaks one more rule than the next.
#[test]
fn the_order_of_checks() {
    let service = Service::new();
    let id = order_after(&service, &["cancel"]);
    let call = |action: &str, id: &str| Call::new("POST", &format!("/api/v1/orders/{id}/{action}"));
    let json = |call: Call| call.header("content-type", "application/json");
    let huge = " ".repeat(1_048_577);
    for (mut call, status, slug) in [
        (call("send", "x").body(&huge), 404, "no-such-path"),
        (Call::new("PUT", "/api/v1/orders/x/ship").body(&huge), 405, "method-not-allowed"),
        (call("ship", "x").body(&huge).header("accept", "text/html"), 413, "body-too-large"),
        (call("ship", "x").body("{").header("accept", "text/html"), 406, "not-acceptable"),
        (call("ship", "x").body("{"), 415, "unsupported-content"),
        (json(call("ship", "x").body("{")).header("if-match", "x"), 404, "order-not-found"),
        (json(call("ship", &id).body("{")).header("if-match", "\"9\""), 412, "precondition-failed"),
        (json(call("ship", &id).body("{")), 400, "malformed-json"),
        (json(call("ship", &id).body("[]")), 422, "invalid-body"),
        (json(call("ship", &id).body("{}")), 409, "transition-not-allowed"),
    ] {
        service.call(&mut call).problem(status, slug);
    }
}

/// A clock that goes back does not take `updated_at` with it.
#[test]
fn time_does_not_go_back() {
    let service = Service::new();
    let id = service.create();
    service.clock.0.set(service.clock.0.get() + 5000);
    let later = service.act(&id, "confirm").json()["updated_at"].clone();
    service.clock.0.set(service.clock.0.get() - 9000);
    assert_eq!(service.act(&id, "ship").json()["updated_at"], later);
    assert_eq!(service.patch(&id, &json!({"notes": "n"})).json()["updated_at"], later);
}

/// A change that others are always first to make is tried three times.
#[test]
fn a_lost_race_is_run_again() {
    for (losses, status) in [(0, 200), (1, 200), (2, 200), (3, 409)] {
        let service = Service::new();
        let id = service.create();
        for _ in 0..losses {
            service.store.before_commit(|store| store.rewrite("o/", str::to_owned));
        }
        let answer = service.act(&id, "confirm");
        assert_eq!(answer.status(), status, "{losses}");
        if status == 409 {
            answer.problem(409, "concurrent-change");
            assert_eq!(service.get(&format!("/api/v1/orders/{id}")).json()["status"], "pending");
            assert_eq!(events(&service, &id).len(), 1);
        }
    }
}

/// Losing the race to the same step is no failure, and to another one is a conflict.
#[test]
fn the_loser_of_a_step_sees_the_winner() {
    for (theirs, status) in [("confirmed", 200), ("cancelled", 409)] {
        let service = Service::new();
        let id = service.create();
        service
            .store
            .before_commit(move |store| store.rewrite("o/", |order| order.replace("pending", theirs)));
        assert_eq!(service.act(&id, "confirm").status(), status);
        assert_eq!(events(&service, &id).len(), 1, "the loser wrote nothing");
    }
}

/// "oldest first", page by page.
#[test]
fn events_come_in_pages() {
    let service = Service::new();
    let id = service.create();
    for count in 2..=7 {
        service.patch(&id, &json!({"notes": count.to_string()}));
    }
    let (mut walked, mut target) = (Vec::new(), Some(format!("/api/v1/orders/{id}/events?limit=3")));
    while let Some(path) = target {
        let answer = service.get(&path);
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        let page = answer.json();
        walked.extend(page["items"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()));
        target = page["next_cursor"]
            .as_str()
            .map(|cursor| format!("/api/v1/orders/{id}/events?limit=3&cursor={cursor}"));
        let link = target.as_ref().map(|target| format!("<{target}>; rel=\"next\""));
        assert_eq!(answer.header("link"), link.as_deref());
    }
    assert_eq!(walked, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn events_of_no_order_and_wrong_parameters() {
    let service = Service::new();
    service.get("/api/v1/orders/x/events?limit=x").problem(404, "order-not-found");
    let path = format!("/api/v1/orders/{}/events", service.create());
    for query in [
        "limit=0",
        "limit=101",
        "cursor=x",
        "cursor=AAAAAAAAAAAAAAAAAAAAAA",
        "status=pending",
        "limit=1&limit=1",
    ] {
        service.get(&format!("{path}?{query}")).problem(400, "invalid-parameter");
    }
    let past = service.get(&format!("{path}?cursor=__________8")).json();
    assert_eq!(past, json!({"items": []}), "a cursor never goes stale");
}
