//! POST /api/v1/orders/{id}/confirm, /ship, /deliver, /cancel, and GET …/events.

use serde_json::{Value, json};

use crate::support::{Call, Service};

const ACTIONS: [(&str, &str); 4] =
    [("confirm", "confirmed"), ("ship", "shipped"), ("deliver", "delivered"), ("cancel", "cancelled")];

/// The actions that lead to each status.
const PATHS: [(&str, &[&str]); 5] = [
    ("pending", &[]),
    ("confirmed", &["confirm"]),
    ("shipped", &["confirm", "ship"]),
    ("delivered", &["confirm", "ship", "deliver"]),
    ("cancelled", &["cancel"]),
];

/// "pending → confirmed → shipped → delivered; pending or confirmed → cancelled."
const TRANSITIONS: [(&str, &[&str]); 5] = [
    ("pending", &["confirm", "cancel"]),
    ("confirmed", &["ship", "cancel"]),
    ("shipped", &["deliver"]),
    ("delivered", &[]),
    ("cancelled", &[]),
];

/// Creates an order and applies these actions. Returns its id.
fn order_after(service: &Service, actions: &[&str]) -> String {
    let id = service.create();
    for action in actions {
        assert_eq!(service.act(&id, action).status(), 200);
    }
    id
}

fn events(service: &Service, id: &str) -> Vec<Value> {
    let page = service.get(&format!("/api/v1/orders/{id}/events?limit=100")).json();
    page["items"].as_array().unwrap().clone()
}

/// Every action in every status is a transition, a repetition, or a conflict that lists the allowed actions.
#[test]
fn every_action_in_every_status_follows_the_contract() {
    for ((state, path), (_, allowed)) in PATHS.into_iter().zip(TRANSITIONS) {
        for (action, target) in ACTIONS {
            let service = Service::new();
            let id = order_after(&service, path);
            let before = service.get(&format!("/api/v1/orders/{id}"));
            let version = before.json()["version"].as_u64().unwrap();
            service.clock.0.set(service.clock.0.get() + 1000);
            let response = service.act(&id, action);
            let after = service.get(&format!("/api/v1/orders/{id}"));
            if allowed.contains(&action) {
                assert_eq!(response.status(), 200, "{action} in {state}");
                assert_eq!(response.json()["status"], target);
                assert_eq!(response.json()["version"], version + 1);
                assert_eq!(response.header("etag"), Some(format!("\"{}-2\"", version + 1).as_str()));
                assert_eq!(response.text(), after.text());
                assert_eq!(response.json()["created_at"], before.json()["created_at"]);
                assert_ne!(response.json()["updated_at"], before.json()["updated_at"]);
                continue;
            }
            assert_eq!(after.text(), before.text(), "nothing changed: {action} in {state}");
            if state == target {
                assert_eq!((response.status(), response.text()), (200, before.text()), "a repetition");
                assert_eq!(response.header("etag"), before.header("etag"));
            } else {
                response.problem(409, "transition-not-allowed");
                assert_eq!(response.json()["order_status"], state);
                assert_eq!(response.json()["allowed"], json!(allowed));
                assert_eq!(response.json()["status"], 409);
            }
        }
    }
}

/// Events are numbered by the version that the change created.
#[test]
fn every_change_adds_one_event() {
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
    let listed: Vec<_> = events(&service, &id)
        .into_iter()
        .map(|event| {
            (event["seq"].clone(), event["type"].clone(), event["tracking"].clone(), event["changed"].clone())
        })
        .collect();
    let null = Value::Null;
    assert_eq!(
        listed,
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
fn ship_accepts_tracking_and_cancel_accepts_a_reason() {
    let long = |count: usize| "é".repeat(count);
    for (path, action, body, pointer) in [
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
        let id = order_after(&service, path);
        let target = format!("/api/v1/orders/{id}/{action}");
        let mut call =
            Call::new("POST", &target).header("content-type", "application/json").body(body.to_string());
        let response = service.call(&mut call);
        match pointer {
            None => {
                assert_eq!(response.status(), 200, "{body}: {response:?}");
                let last = events(&service, &id).pop().unwrap();
                for name in ["tracking", "reason"] {
                    assert_eq!(last[name], body[name]);
                }
            }
            Some(pointer) => assert_eq!(response.field_errors()[0].0, pointer, "{body}"),
        }
    }
}

/// "`tracking` and `reason` are members of the order from then on. Repeating a transition that has happened is 200 if it says the
/// same, 409 if it carries another"
#[test]
fn tracking_and_reason_stay_with_the_order() {
    for (path, action, member, status) in
        [(&["confirm"][..], "ship", "tracking", "shipped"), (&[], "cancel", "reason", "cancelled")]
    {
        let service = Service::new();
        let id = order_after(&service, path);
        let send = |text: Option<&str>| {
            let call = Call::new("POST", &format!("/api/v1/orders/{id}/{action}"));
            let body = text.map_or_else(|| json!({}), |text| json!({member: text}));
            service.call(&mut call.header("content-type", "application/json").body(body.to_string()))
        };
        let first = send(Some("one"));
        assert_eq!((&first.json()["status"], &first.json()[member]), (&json!(status), &json!("one")));
        for repeated in [send(Some("one")), send(None), service.act(&id, action)] {
            assert_eq!((repeated.status(), repeated.text()), (200, first.text()));
        }
        let detail = send(Some("two")).problem(409, "transition-not-allowed");
        assert_eq!(detail, format!("The order is {status} already, and not with this {member}."));
        assert_eq!(service.get(&format!("/api/v1/orders/{id}")).text(), first.text());
        service.patch(&id, &json!({member: "two"})).problem(422, "invalid-body");
        service.patch(&id, &json!({"notes": "n"}));
        assert_eq!(service.get(&format!("/api/v1/orders/{id}")).json()[member], "one");
    }
}

/// "a first `tracking` may be added to a shipped order that has none"
#[test]
fn a_shipped_order_may_get_its_tracking_later() {
    let service = Service::new();
    let id = order_after(&service, &["confirm", "ship"]);
    let ship = |tracking: &str| {
        let call = Call::new("POST", &format!("/api/v1/orders/{id}/ship"));
        let body = json!({"tracking": tracking}).to_string();
        service.call(&mut call.header("content-type", "application/json").body(body))
    };
    let added = ship("T");
    assert_eq!((&added.json()["tracking"], &added.json()["version"]), (&json!("T"), &json!(4)));
    let last = events(&service, &id).pop().unwrap();
    assert_eq!(
        (&last["type"], &last["changed"], &last["tracking"]),
        (&json!("updated"), &json!(["tracking"]), &json!("T"))
    );
    assert_eq!(ship("T").text(), added.text());
    ship("U").problem(409, "transition-not-allowed");
    service.act(&id, "deliver");
    assert_eq!(service.get(&format!("/api/v1/orders/{id}")).json()["tracking"], "T");
    ship("T").problem(409, "transition-not-allowed");
    // A reason cannot be added: a cancelled order without one was cancelled for none.
    let id = order_after(&service, &["cancel"]);
    let cancel = Call::new("POST", &format!("/api/v1/orders/{id}/cancel"));
    let mut cancel =
        cancel.header("content-type", "application/json").body(json!({"reason": "r"}).to_string());
    service.call(&mut cancel).problem(409, "transition-not-allowed");
}

/// "optional JSON"
#[test]
fn the_body_of_an_action_is_optional_but_must_be_json() {
    let service = Service::new();
    let path = format!("/api/v1/orders/{}/confirm", service.create());
    let call = |body: &str| Call::new("POST", &path).body(body);
    service.call(&mut call("{}")).problem(415, "unsupported-content");
    service.call(&mut call("{}").header("content-type", "text/plain")).problem(415, "unsupported-content");
    service.call(&mut call("{").header("content-type", "application/json")).problem(400, "malformed-json");
    let response = service.call(&mut call("").header("content-type", "text/plain"));
    assert_eq!(
        (response.status(), &response.json()["version"]),
        (200, &json!(2)),
        "Content-Type is ignored without a body"
    );
    assert_eq!(service.call(&mut call("")).status(), 200);
}

/// "route 404 → 405 → 413 → 406/415 → resource 404 → 412 → syntax 400 → meaning 422 → state 409": each request
/// breaks one more rule than the next one.
#[test]
fn checks_run_in_the_order_of_the_contract() {
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

#[test]
fn updated_at_does_not_decrease_when_the_clock_goes_backwards() {
    let service = Service::new();
    let id = service.create();
    service.clock.0.set(service.clock.0.get() + 5000);
    let later = service.act(&id, "confirm").json()["updated_at"].clone();
    service.clock.0.set(service.clock.0.get() - 9000);
    assert_eq!(service.act(&id, "ship").json()["updated_at"], later);
    assert_eq!(service.patch(&id, &json!({"notes": "n"})).json()["updated_at"], later);
}

/// "tried again for up to 5 s, jittered": here, only waiting takes time.
#[test]
fn a_conflicting_change_is_attempted_for_five_seconds() {
    const MS: u64 = 1_000_000;
    for (conflicts, status) in [(0, 200), (1, 200), (30, 200), (500, 409)] {
        let service = Service::new();
        let id = service.create();
        for _ in 0..conflicts {
            service.store.before_commit(|store| store.rewrite("o/", str::to_owned));
        }
        let response = service.act(&id, "confirm");
        assert_eq!(response.status(), status, "{conflicts}");
        let (waits, total_ns) = (service.clock.1.count.get(), service.clock.1.total_ns.get());
        assert!(total_ns <= u64::from(waits) * 100 * MS && waits <= conflicts);
        if status == 409 {
            response.problem(409, "concurrent-change");
            assert_eq!(response.header("retry-after"), Some("1"));
            assert!((4_900 * MS..5_000 * MS).contains(&total_ns), "{total_ns} ns");
            assert!((60..150).contains(&waits), "{waits}");
            assert_eq!(service.get(&format!("/api/v1/orders/{id}")).json()["status"], "pending");
            assert_eq!(events(&service, &id).len(), 1);
        }
    }
}

/// "never beyond the request's deadline": the host says how long that is.
#[test]
fn a_conflicting_change_is_given_up_in_time_for_its_response() {
    for (left, expected_ms) in
        [("2000", 900..1000), ("100", 0..50), ("600000", 4900..5000), ("soon", 4900..5000)]
    {
        let service = Service::new();
        let id = service.create();
        for _ in 0..500 {
            service.store.before_commit(|store| store.rewrite("o/", str::to_owned));
        }
        let mut call = Call::patch(&id, &json!({"notes": "n"})).header("x-deadline-ms", left);
        service.call(&mut call).problem(409, "concurrent-change");
        let waited = service.clock.1.total_ns.get() / 1_000_000;
        assert!(expected_ms.contains(&waited), "{left}: {waited} ms");
    }
}

/// Another request commits first. If it applied the same action, this one succeeds as a repetition.
#[test]
fn a_transition_that_loses_a_race_sees_the_new_status() {
    for (new_status, status) in [("confirmed", 200), ("cancelled", 409)] {
        let service = Service::new();
        let id = service.create();
        service
            .store
            .before_commit(move |store| store.rewrite("o/", |order| order.replace("pending", new_status)));
        assert_eq!(service.act(&id, "confirm").status(), status);
        assert_eq!(events(&service, &id).len(), 1, "the second request wrote nothing");
    }
}

/// "oldest first", page by page.
#[test]
fn events_are_listed_in_pages() {
    let service = Service::new();
    let id = service.create();
    for count in 2..=7 {
        service.patch(&id, &json!({"notes": count.to_string()}));
    }
    let (mut walked, mut target) = (Vec::new(), Some(format!("/api/v1/orders/{id}/events?limit=3")));
    while let Some(path) = target {
        let response = service.get(&path);
        assert_eq!(response.header("cache-control"), Some("private, no-cache"));
        let page = response.json();
        walked.extend(page["items"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()));
        target = page["next_cursor"]
            .as_str()
            .map(|cursor| format!("/api/v1/orders/{id}/events?limit=3&cursor={cursor}"));
        let link = target.as_ref().map(|target| format!("<{target}>; rel=\"next\""));
        assert_eq!(response.header("link"), link.as_deref());
    }
    assert_eq!(walked, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn events_of_an_unknown_order_are_404_and_invalid_parameters_400() {
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
    assert_eq!(past, json!({"items": []}), "a cursor never expires");
}
