//! PATCH /api/v1/orders/{id}: a JSON merge patch (RFC 7396) of `notes` and `metadata`.

use proptest::prelude::{Strategy, prop_assert_eq, prop_oneof, proptest};
use proptest::{collection, option};
use serde_json::{Value, json};

use crate::support::{Call, Service};

/// Creates an order with notes and metadata. Returns its id.
fn order(service: &Service) -> String {
    let id = service.create();
    assert_eq!(service.patch(&id, &json!({"notes": "n", "metadata": {"a": "1", "b": "2"}})).status(), 200);
    id
}

#[test]
fn a_patch_sets_and_removes_members() {
    for (patch, notes, metadata) in [
        (json!({"notes": "m"}), json!("m"), json!({"a": "1", "b": "2"})),
        (json!({"notes": ""}), json!(""), json!({"a": "1", "b": "2"})),
        (json!({"notes": null}), Value::Null, json!({"a": "1", "b": "2"})),
        (json!({"metadata": null}), json!("n"), Value::Null),
        (json!({"metadata": {"a": null}}), json!("n"), json!({"b": "2"})),
        (json!({"metadata": {"a": null, "b": null}}), json!("n"), json!({})),
        (json!({"metadata": {"c": "3", "b": "x"}}), json!("n"), json!({"a": "1", "b": "x", "c": "3"})),
        (json!({"notes": null, "metadata": null}), Value::Null, Value::Null),
    ] {
        let service = Service::new();
        let id = order(&service);
        let response = service.patch(&id, &patch);
        assert_eq!(response.status(), 200, "{patch}");
        let found = service.get(&format!("/api/v1/orders/{id}"));
        assert_eq!(found.text(), response.text());
        assert_eq!((&found.json()["notes"], &found.json()["metadata"]), (&notes, &metadata), "{patch}");
        assert_eq!((response.header("etag"), &found.json()["version"]), (Some("\"3-2\""), &json!(3)));
    }
}

#[test]
fn a_patch_that_changes_nothing_keeps_the_version() {
    let service = Service::new();
    let id = order(&service);
    for patch in [
        json!({}),
        json!({"notes": "n"}),
        json!({"metadata": {}}),
        json!({"metadata": {"a": "1", "x": null}}),
    ] {
        let response = service.patch(&id, &patch);
        assert_eq!((response.status(), response.header("etag")), (200, Some("\"2-2\"")), "{patch}");
    }
}

#[test]
fn an_order_with_a_final_status_can_be_patched() {
    let service = Service::new();
    let id = service.create();
    service.act(&id, "cancel");
    let response = service.patch(&id, &json!({"notes": "called twice"}));
    assert_eq!((response.status(), &response.json()["status"]), (200, &json!("cancelled")));
}

#[test]
fn every_error_in_a_patch_is_listed() {
    let service = Service::new();
    let id = service.create();
    let patch = json!({
        "notes": 1, "metadata": {"": "v", "ok": null, "a": 1, "b": "x".repeat(501), "": null},
        "status": "shipped", "customer": null, "colour": "red",
    });
    let errors = service.patch(&id, &patch).field_errors();
    let pointers: Vec<_> = errors.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        ["/colour", "/customer", "/metadata/", "/metadata/a", "/metadata/b", "/notes", "/status"]
    );
    assert!(errors[1].1.contains("cannot be changed"), "{errors:?}");
    for (patch, pointer) in
        [(json!([]), ""), (json!("x"), ""), (json!(null), ""), (json!({"metadata": []}), "/metadata")]
    {
        assert_eq!(service.patch(&id, &patch).field_errors()[0].0, pointer);
    }
}

/// "the limit holds after a merge too".
#[test]
fn the_limit_applies_to_the_merged_metadata() {
    let service = Service::new();
    let id = service.create();
    let members = |range: std::ops::Range<u32>| -> Value {
        range.map(|index| (format!("m{index}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
    };
    assert_eq!(service.patch(&id, &json!({"metadata": members(0..30)})).status(), 200);
    let response = service.patch(&id, &json!({"metadata": members(30..51)}));
    assert_eq!(
        response.field_errors(),
        [("/metadata".to_owned(), "must have at most 50 members after the merge".to_owned())]
    );
    assert_eq!(service.patch(&id, &json!({"metadata": members(30..50)})).status(), 200);
    let mut swap = members(50..60);
    (0..10).for_each(|index| swap[format!("m{index}")] = Value::Null);
    assert_eq!(
        service.patch(&id, &json!({"metadata": swap})).status(),
        200,
        "the patch names 20 members, 50 remain"
    );
}

/// "415 (with `Accept-Patch`)".
#[test]
fn another_content_type_is_415_with_accept_patch() {
    let service = Service::new();
    let id = service.create();
    for content_type in [None, Some("application/json"), Some("application/json-patch+json")] {
        let call = Call::patch(&id, &json!({})).without("content-type");
        let mut call = content_type.into_iter().fold(call, |call, value| call.header("content-type", value));
        let response = service.call(&mut call);
        response.problem(415, "unsupported-content");
        assert_eq!(response.header("accept-patch"), Some("application/merge-patch+json"));
        assert_eq!(response.header("accept"), None);
    }
    service.patch("x", &json!({})).problem(404, "order-not-found");
    service.call(&mut Call::patch(&id, &json!(0)).body("{")).problem(400, "malformed-json");
}

/// The algorithm of RFC 7396 §2.
fn merge(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = match target {
        Value::Object(target) => target,
        _ => serde_json::Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            let old = target.remove(name).unwrap_or(Value::Null);
            target.insert(name.clone(), merge(old, value));
        }
    }
    target.into()
}

fn patch() -> impl Strategy<Value = Value> {
    let value = prop_oneof![proptest::strategy::Just(Value::Null), "[a-c]{0,2}".prop_map(Value::from)];
    let metadata = prop_oneof![
        1 => proptest::strategy::Just(Value::Null),
        4 => collection::btree_map("[a-d]", value.clone(), 0..4).prop_map(|members| json!(members)),
    ];
    (option::of(value), option::of(metadata)).prop_map(|(notes, metadata)| {
        let mut patch = json!({});
        notes.into_iter().for_each(|notes| patch["notes"] = notes);
        metadata.into_iter().for_each(|metadata| patch["metadata"] = metadata);
        patch
    })
}

proptest! {
    #[test]
    fn any_sequence_of_patches_gives_the_result_of_rfc_7396(patches in collection::vec(patch(), 1..8)) {
        let service = Service::new();
        let id = service.create();
        let mut expected = service.get(&format!("/api/v1/orders/{id}")).json();
        for patch in patches {
            let response = service.patch(&id, &patch).json();
            let merged = merge(expected.clone(), &patch);
            let changed = merged != expected;
            expected = merged;
            expected["version"] = json!(expected["version"].as_u64().unwrap() + u64::from(changed));
            expected["updated_at"] = response["updated_at"].clone();
            prop_assert_eq!(&response, &expected);
        }
    }
}
