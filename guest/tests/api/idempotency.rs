//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07).

use std::rc::Rc;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{Call, NOON, Service, TestResponse, full, minimal, with};

const DAY: u64 = 24 * 60 * 60 * 1000;

fn keyed(key: &str) -> Call {
    Call::post(full().to_string()).header("idempotency-key", key)
}

/// Whether the response is a replay, the headers that a replay shares with the first response, and the content.
fn parts(response: &TestResponse) -> (bool, Vec<Option<String>>, String) {
    let fields = ["location", "etag", "content-type", "content-length", "cache-control"];
    let fields = fields.map(|name| response.header(name).map(str::to_owned)).to_vec();
    assert_eq!(response.status(), 201, "{response:?}");
    (response.header("idempotent-replayed") == Some("true"), fields, response.text().to_owned())
}

/// What the service stores to recognize a body: see `values::Digest`.
fn fingerprint(body: &str) -> String {
    let length = u64::try_from(body.len()).unwrap().to_be_bytes();
    let hash = Sha256::new().chain_update(length).chain_update(body).finalize();
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// "Same key, same request → the first answer, byte for byte", even if the order has changed since.
#[test]
fn a_repeated_key_replays_the_first_response() {
    let service = Service::new();
    let first = parts(&service.call(&mut keyed("k")));
    assert!(!first.0);
    let id = service.get("/api/v1/orders").json()["items"][0]["id"].as_str().unwrap().to_owned();
    service.act(&id, "cancel");
    service.clock.0.set(service.clock.0.get() + DAY - 1);
    for key in ["k", "\"k\"", " k ", "\"k\" "] {
        let again = parts(&service.call(&mut keyed(key)));
        assert_eq!(again, (true, first.1.clone(), first.2.clone()), "{key}");
    }
    assert_eq!(service.store.values("o/").len(), 1);
}

#[test]
fn another_key_or_no_key_creates_another_order() {
    let service = Service::new();
    for call in
        [&mut keyed("k"), &mut keyed("K"), &mut keyed("\"k \""), &mut keyed("k").without("idempotency-key")]
    {
        assert!(!parts(&service.call(call)).0);
    }
    assert_eq!(service.store.values("o/").len(), 4);
}

/// "Same key, another payload → 422."
#[test]
fn a_key_with_another_body_is_422() {
    let service = Service::new();
    service.call(&mut keyed("k"));
    service.call(&mut keyed("k").body(minimal().to_string())).problem(422, "idempotency-key-reused");
    assert!(parts(&service.call(&mut keyed("k"))).0);
    assert_eq!(service.store.values("o/").len(), 1);
}

/// "Validation failures are not kept."
#[test]
fn a_rejected_request_does_not_use_its_key() {
    let service = Service::new();
    let invalid = with(full(), "/items/0/quantity", json!(0));
    service.call(&mut keyed("k").body(invalid.to_string())).field_errors();
    service.call(&mut keyed("k").body("{")).problem(400, "malformed-json");
    assert!(service.store.records.borrow().is_empty());
    assert!(!parts(&service.call(&mut keyed("k"))).0);
}

/// "Key: 1…255 characters, quoted (structured field) or bare."
#[test]
fn a_key_is_accepted_with_and_without_quotes() {
    let longest = "x".repeat(255);
    for (key, valid) in [
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", true),
        ("!~,;=", true),
        (&longest, true),
        (&format!("\"{longest}\""), true),
        (&format!("{longest}x"), false),
        (&format!("\"{longest}x\""), false),
        ("", false),
        ("\"\"", false),
        ("a b", false),
        ("\"a", false),
        ("\"a\\b\"", false),
        ("é", false),
    ] {
        let service = Service::new();
        let response = service.call(&mut keyed(key));
        if valid {
            assert_eq!(response.status(), 201, "{key}");
        } else {
            let detail = response.problem(400, "invalid-header");
            assert!(detail.contains("Idempotency-Key must"), "{detail}");
        }
    }
    let detail =
        Service::new().call(&mut keyed("a").header("idempotency-key", "a")).problem(400, "invalid-header");
    assert!(detail.contains("once"), "{detail}");
}

#[test]
fn an_order_and_the_response_under_its_key_are_written_in_one_commit() {
    let service = Service::new();
    service.call(&mut keyed("k"));
    assert_eq!(service.store.calls.get()[2], 1);
    let keys = service.store.keys("");
    let prefixes: Vec<_> = keys.iter().map(|key| key.split('/').next().unwrap()).collect();
    assert_eq!(prefixes, ["c", "cs", "e", "i", "o", "s", "x"]);
}

/// "two racing creates with one key give one order and two equal answers".
#[test]
fn the_second_of_two_concurrent_creates_replays_the_response_of_the_first() {
    let service = Service::new();
    let winner = Service::new();
    let response = winner.call(&mut keyed("k"));
    let theirs = winner.store.records.borrow().clone();
    service.store.before_commit(move |store| store.records.borrow_mut().extend(theirs));
    service.random.0.set(99);
    let (replayed, fields, content) = parts(&service.call(&mut keyed("k")));
    assert!(replayed);
    assert_eq!((false, fields, content), parts(&response));
    assert_eq!(service.store.values("o/").len(), 1);
}

/// "replay of an Idempotency-Key → … → syntax 400 → meaning 422": the rules may have changed since the first request.
#[test]
fn a_repetition_is_replayed_before_its_body_is_judged() {
    let service = Service::new();
    let other = Service::new();
    let mut once = keyed("k").body(minimal().to_string());
    let first = parts(&other.call(&mut once));
    for body in ["{", "{}", "[]", &minimal().to_string().replace("EUR", "BGN")] {
        // What a version stores that has accepted this body.
        let mut probe = keyed("k").body(body);
        let rejected = service.call(&mut probe);
        assert!(matches!(rejected.status(), 400 | 422), "an unused key: {rejected:?}");
        assert!(service.store.keys("").is_empty());
        *service.store.records.borrow_mut() = other.store.records.borrow().clone();
        service.call(&mut probe).problem(422, "idempotency-key-reused");
        let (ours, theirs) = (fingerprint(body), fingerprint(&minimal().to_string()));
        service.store.rewrite("i/", |record| record.replace(&theirs, &ours));
        let replayed = parts(&service.call(&mut probe));
        assert_eq!((true, first.1.clone(), first.2.clone()), replayed, "{body}");
        service.store.records.borrow_mut().clear();
    }
    // A key that cannot be read cannot be replayed, and comes first, too.
    service.call(&mut keyed("").body("{")).problem(400, "invalid-header");
}

/// A create with a key costs one call of the store, or two now and then, when it removes expired keys.
#[test]
fn a_new_key_is_not_looked_up() {
    let service = Service::new();
    let mut gets = 0;
    for index in 0..100 {
        service.store.calls.set([0; 3]);
        service.call(&mut keyed(&format!("k{index}")));
        gets += service.store.calls.get()[0];
    }
    assert!(gets < 45, "one in four sweeps, and one in 64 fills an index: {gets}");
}

/// "Kept 24 h": after that, the key can be used again, whether or not its record has been removed.
#[test]
fn an_expired_key_can_be_used_again() {
    let service = Service::new();
    let first = parts(&service.call(&mut keyed("k")));
    service.clock.0.set(service.clock.0.get() + DAY);
    let second = parts(&service.call(&mut keyed("k").body(minimal().to_string())));
    assert!(!second.0 && second.2 != first.2);
    assert!(parts(&service.call(&mut keyed("k").body(minimal().to_string()))).0);
    assert_eq!((service.store.keys("i/").len(), service.store.keys("x/").len()), (1, 1));
    assert_eq!(service.store.values("o/").len(), 2);
}

/// Another create with the expired key commits first. One more order exists, and both requests return the same response. With
/// some seeds, the create also sweeps the queue entry of its own key.
#[test]
fn concurrent_creates_with_an_expired_key_create_one_order() {
    for seed in 0..40 {
        let service = Rc::new(Service::new());
        service.call(&mut keyed("k"));
        service.clock.0.set(service.clock.0.get() + DAY);
        service.random.0.set(seed * 7919 + 3);
        let other = Rc::clone(&service);
        service.store.before_commit(move |_| assert!(!parts(&other.call(&mut keyed("k"))).0));
        assert!(parts(&service.call(&mut keyed("k"))).0, "{seed}");
        assert!(parts(&service.call(&mut keyed("k"))).0, "{seed}");
        assert_eq!(service.store.values("o/").len(), 2, "{seed}");
        assert_eq!((service.store.keys("i/").len(), service.store.keys("x/").len()), (1, 1), "{seed}");
    }
}

/// An expired key is used again while another create is about to remove its response.
#[test]
fn a_sweep_does_not_remove_a_new_response_under_an_expired_key() {
    for seed in 0..40 {
        let service = Rc::new(Service::new());
        service.call(&mut keyed("old"));
        service.clock.0.set(service.clock.0.get() + DAY);
        service.random.0.set(seed * 7919 + 3);
        let other = Rc::clone(&service);
        service.store.before_commit(move |_| assert!(!parts(&other.call(&mut keyed("old"))).0));
        assert!(!parts(&service.call(&mut keyed("new"))).0, "{seed}");
        assert!(parts(&service.call(&mut keyed("old"))).0, "{seed}");
        assert_eq!((service.store.keys("i/").len(), service.store.keys("x/").len()), (2, 2), "{seed}");
    }
}

#[test]
fn a_create_that_conflicts_again_and_again_is_503() {
    for (conflicts, status) in [(3, 201), (4, 503)] {
        let service = Service::new();
        // The commit conflicts with another response, which the next lookup does not find.
        for _ in 0..conflicts {
            service.store.conflict_once();
        }
        assert_eq!(service.call(&mut keyed("k")).status(), status, "{conflicts}");
        assert_eq!(service.store.values("o/").len(), usize::from(status == 201));
    }
}

/// "swept after 24 h": creates with keys remove more expired records than they add.
#[test]
fn creates_remove_expired_keys() {
    let service = Service::new();
    for index in 0..50 {
        service.call(&mut keyed(&format!("old-{index}")));
    }
    service.clock.0.set(service.clock.0.get() + DAY);
    for index in 0..100 {
        service.call(&mut keyed(&format!("new-{index}")));
    }
    assert_eq!((service.store.keys("i/").len(), service.store.keys("x/").len()), (100, 100));
    assert_eq!(service.store.values("o/").len(), 150);
}

/// Each create has read the queue before any other has committed.
#[test]
fn concurrent_creates_remove_expired_keys() {
    for width in [1, 16, 64] {
        let service = Rc::new(Service::new());
        (0..1000).for_each(|index| _ = service.call(&mut keyed(&format!("old-{index}"))));
        service.clock.0.set(service.clock.0.get() + DAY);
        for round in 0..640 / width {
            create_concurrently(&service, &format!("new-{round}"), width);
        }
        let left = service.store.keys("i/").len();
        assert_eq!(service.store.keys("x/").len(), left);
        assert!(
            left <= 1000,
            "{width} concurrent creates: {left} responses are left, more than at the start"
        );
    }
}

/// An order with a key is created every 10 ms for 200 s, after as many whose keys expire at the same pace. A transaction, such
/// as a backup, is open meanwhile, so that the store keeps what is removed.
#[test]
fn a_sweep_does_not_pass_over_everything_that_was_swept_before() {
    const CREATES: u64 = 20_000;
    let service = Service::new();
    let create = |name: &str, index: u64| {
        service.clock.0.set(service.clock.0.get() + 10);
        service.random.0.set(index * 7919 + 1);
        assert_eq!(service.call(&mut keyed(&format!("{name}-{index}"))).status(), 201);
    };
    (0..CREATES).for_each(|index| create("old", index));
    service.clock.0.set(service.clock.0.get() + DAY - 10 * CREATES);
    let begin = service.store.passed_over.get();
    (0..CREATES).for_each(|index| create("new", index));
    let swept = (2 * usize::try_from(CREATES).unwrap()).saturating_sub(service.store.keys("x/").len());
    assert!(swept > 15_000, "{swept} responses were removed");
    let sweeps = usize::try_from(CREATES).unwrap() / 4;
    let each = (service.store.passed_over.get() - begin) / sweeps;
    // Five seconds of the queue, in which there are 500 entries, and those among the 256 oldest.
    assert!(each < 3000, "a sweep passes over {each} removed entries");
}

/// A host whose clock was behind by more than a day has stored responses that have expired already.
#[test]
fn what_expires_before_the_mark_is_swept_in_the_end() {
    let service = Service::new();
    service.clock.0.set(NOON + 3 * DAY);
    for index in 0..100 {
        service.random.0.set(index * 7919 + 1);
        service.call(&mut keyed(&format!("first-{index}")));
    }
    service.clock.0.set(NOON + 4 * DAY + 60_000);
    for index in 0..100 {
        service.random.0.set(index * 7919 + 1);
        service.call(&mut keyed(&format!("second-{index}")));
    }
    assert!(!service.store.values("l/sweep").is_empty(), "no mark");
    service.clock.0.set(NOON);
    service.call(&mut keyed("late"));
    service.clock.0.set(NOON + 4 * DAY + 120_000);
    let expired = |service: &Service| {
        let now = format!("x/{:015}", service.clock.0.get());
        service.store.keys("x/").into_iter().filter(|key| *key < now).count()
    };
    assert_eq!(expired(&service), 1);
    let mut creates = 0;
    while expired(&service) > 0 {
        creates += 1;
        assert!(creates < 100_000, "it is still there");
        service.random.0.set(creates * 7919 + 1);
        service.call(&mut keyed(&format!("third-{creates}")));
    }
}

/// Runs `width` creates. Each starts when the previous one is about to commit.
fn create_concurrently(service: &Rc<Service>, name: &str, width: u32) {
    if width > 1 {
        let (next, name) = (Rc::clone(service), name.to_owned());
        service.store.before_commit(move |_| create_concurrently(&next, &name, width - 1));
    }
    assert!(!parts(&service.call(&mut keyed(&format!("{name}-{width}")))).0);
}

/// Another request removes the same responses first.
#[test]
fn a_conflict_of_sweeps_does_not_fail_the_create() {
    for seed in 0..20 {
        let service = Service::new();
        service.call(&mut keyed("a"));
        service.call(&mut keyed("b"));
        service.clock.0.set(service.clock.0.get() + DAY);
        service.random.0.set(seed * 7919);
        service.store.before_commit(|store| {
            store.records.borrow_mut().retain(|key, _| !key.starts_with("x/") && !key.starts_with("i/"));
        });
        service.store.calls.set([0; 3]);
        assert!(!parts(&service.call(&mut keyed("c"))).0);
        // The lookup of the key and the mark of the sweep: another attempt would be another lookup.
        assert!(service.store.calls.get()[0] <= 2, "the create is not attempted again");
        assert_eq!((service.store.keys("i/").len(), service.store.keys("x/").len()), (1, 1));
    }
}
