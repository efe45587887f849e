//! The index by customer and status: written with each change, and filled beside requests for orders that are older.

use serde_json::{Value, json};

use crate::support::{Call, MemoryStore, Service};

/// The entries that the orders call for.
fn expected(service: &Service) -> Vec<String> {
    let digest = |customer: &str| {
        let keys = service.store.keys("c/");
        let own = |key: &&String| key.ends_with(customer);
        keys.iter().find(own).unwrap().split('/').nth(1).unwrap().to_owned()
    };
    let mut keys: Vec<_> = service
        .store
        .values("o/")
        .iter()
        .map(|record| {
            let order: Value = serde_json::from_slice(record).unwrap();
            let id = order["id"].as_str().unwrap();
            format!("cs/{}/{}/{id}", digest(id), order["status"].as_str().unwrap())
        })
        .collect();
    keys.sort();
    keys
}

/// Removes what this version has added to the store, as if only a former one had written it.
fn forget(store: &MemoryStore) {
    store.records.borrow_mut().retain(|key, _| !key.starts_with("cs/") && key != "l/index");
}

fn state(service: &Service) -> Value {
    service
        .store
        .values("l/index")
        .first()
        .map_or(Value::Null, |state| serde_json::from_slice(state).unwrap())
}

/// Asks for a customer's orders with a status, as those do who need the index.
fn ask(service: &Service) {
    assert_eq!(service.get("/api/v1/orders?customer=ada&status=pending").status(), 200);
}

#[test]
fn every_change_keeps_the_index() {
    let service = Service::new();
    for (customer, actions) in [
        ("ada", &["confirm", "ship", "deliver"][..]),
        ("bob", &["cancel"]),
        ("ada", &[]),
        ("ada", &["confirm", "cancel", "cancel"]),
    ] {
        let id = service.create_for(customer);
        for action in actions {
            service.act(&id, action);
            assert_eq!(service.store.keys("cs/"), expected(&service));
        }
        service.patch(&id, &json!({"notes": "n"}));
        assert_eq!(service.store.keys("cs/"), expected(&service));
    }
}

#[test]
fn requests_that_need_the_index_fill_it_slice_by_slice() {
    let service = Service::new();
    let all: Vec<_> = (0..110).map(|index| service.create_for(["ada", "bob"][index % 2])).collect();
    for id in all.iter().step_by(3) {
        service.act(id, "confirm");
    }
    forget(&service.store);
    service.store.put(&format!("o/{}", all[60]), "unreadable");
    let mut filled = Vec::new();
    for _ in 0..4 {
        ask(&service);
        filled.push(service.store.keys("cs/").len());
        assert_eq!(state(&service)["cs"]["complete"], false);
    }
    assert_eq!(filled, [25, 50, 74, 99]);
    ask(&service);
    let index = &state(&service)["cs"];
    assert_eq!((&index["since"], &index["by"], &index["complete"]), (&json!(2), &json!(2), &json!(true)));
    service.store.records.borrow_mut().remove(&format!("o/{}", all[60]));
    assert_eq!(service.store.keys("cs/"), expected(&service));
    // Nothing more is written.
    service.store.calls.set([0; 3]);
    ask(&service);
    assert_eq!(service.store.calls.get()[2], 0);
}

/// Whatever happens between two slices or during one, no entry is missing in the end.
#[test]
fn the_index_is_complete_whatever_happens_meanwhile() {
    let service = Service::new();
    let all: Vec<_> = (0..60).map(|_| service.create_for("ada")).collect();
    forget(&service.store);
    // Another request changes an order of the slice: it is not written, and the next request tries again.
    service.store.before_commit(|store| store.rewrite("o/", str::to_owned));
    ask(&service);
    assert!(service.store.keys("cs/").is_empty() && service.store.keys("l/index").is_empty());
    // The store fails: the response has been sent.
    ask(&service);
    service.act(&all[0], "confirm");
    service.act(&all[59], "cancel");
    service.create_for("ada");
    ask(&service);
    ask(&service);
    assert_eq!(state(&service)["cs"]["complete"], true);
    assert_eq!(service.store.keys("cs/"), expected(&service));
}

/// An id after those of the tests.
const ID: &str = "02000000-0000-7000-8000-000000000000";

#[test]
fn a_state_of_another_version_is_respected() {
    let service = Service::new();
    service.create_for("ada");
    forget(&service.store);
    for (stored, filled) in [
        // A later version makes its own pass.
        (json!({"layout": 3, "cs": {"since": 2, "by": 3, "after": "x", "until": ID, "complete": false}}), 0),
        // What cannot be read is begun anew, and what is unknown is kept.
        (json!({"layout": 3, "priority": {"since": 3}, "cs": {"by": "x"}}), 1),
        (json!([]), 1),
    ] {
        service.store.put("l/index", stored.to_string());
        ask(&service);
        assert_eq!(service.store.keys("cs/").len(), filled, "{stored}");
        if filled > 0 {
            assert_eq!(
                (&state(&service)["cs"]["complete"], &state(&service)["priority"]),
                (&json!(true), &stored["priority"])
            );
        }
        forget(&service.store);
    }
}

/// New orders have their entries, so the pass ends although they keep coming.
#[test]
fn the_pass_ends_while_orders_are_created() {
    let service = Service::new();
    (0..100).for_each(|_| _ = service.create_for("ada"));
    forget(&service.store);
    let slices = (1..).take_while(|_| {
        ask(&service);
        // Two minutes later, far more orders than a slice has.
        service.clock.0.set(service.clock.0.get() + 120_000);
        (0..60).for_each(|_| _ = service.create_for("ada"));
        state(&service)["cs"]["complete"] == false
    });
    assert!(slices.count() <= 5);
    assert_eq!(service.store.keys("cs/"), expected(&service));
}

/// No request that asks for less pays for it, but for one create in 64.
#[test]
fn other_requests_do_not_fill_the_index() {
    let service = Service::new();
    let id = service.create_for("ada");
    forget(&service.store);
    for target in ["/api/v1/orders", "/api/v1/orders?status=pending", "/api/v1/orders?customer=ada"] {
        service.get(target);
    }
    service.call(&mut Call::new("OPTIONS", "/api/v1/orders"));
    service.get(&format!("/api/v1/orders/{id}"));
    assert_eq!(state(&service), Value::Null);
    let creates = (1..).take_while(|_| {
        service.create_for("ada");
        state(&service) == Value::Null
    });
    assert!(creates.count() < 640);
}
