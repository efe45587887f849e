//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07).

use std::rc::Rc;

use serde_json::json;

use crate::support::{Answer, Call, Service, full, minimal, with};

const DAY: u64 = 24 * 60 * 60 * 1000;

fn keyed(key: &str) -> Call {
    Call::post(full().to_string()).header("idempotency-key", key)
}

/// Whether it is a replay; the fields that it shares with the first answer; and its content.
fn parts(answer: &Answer) -> (bool, Vec<Option<String>>, String) {
    let fields = ["location", "etag", "content-type", "content-length", "cache-control"];
    let fields = fields.map(|name| answer.header(name).map(str::to_owned)).to_vec();
    assert_eq!(answer.status(), 201, "{answer:?}");
    (answer.header("idempotent-replayed") == Some("true"), fields, answer.text().to_owned())
}

/// "Same key, same request → the first answer, byte for byte", even if the order has changed since.
#[test]
fn a_repeated_request_gets_the_first_answer() {
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
fn other_keys_and_no_key_make_other_orders() {
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
fn a_key_stands_for_one_payload() {
    let service = Service::new();
    service.call(&mut keyed("k"));
    service.call(&mut keyed("k").body(minimal().to_string())).problem(422, "idempotency-key-reused");
    assert!(parts(&service.call(&mut keyed("k"))).0);
    assert_eq!(service.store.values("o/").len(), 1);
}

/// "Validation failures are not kept."
#[test]
fn a_key_of_a_refused_request_is_free() {
    let service = Service::new();
    let faulty = with(full(), "/items/0/quantity", json!(0));
    service.call(&mut keyed("k").body(faulty.to_string())).faults();
    service.call(&mut keyed("k").body("{")).problem(400, "malformed-json");
    assert!(service.store.records.borrow().is_empty());
    assert!(!parts(&service.call(&mut keyed("k"))).0);
}

/// "Key: 1…255 characters, quoted (structured field) or bare."
#[test]
fn forms_of_a_key() {
    let longest = "x".repeat(255);
    for (key, good) in [
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
        let answer = service.call(&mut keyed(key));
        if good {
            assert_eq!(answer.status(), 201, "{key}");
        } else {
            let detail = answer.problem(400, "invalid-header");
            assert!(detail.contains("Idempotency-Key must"), "{detail}");
        }
    }
    let detail =
        Service::new().call(&mut keyed("a").header("idempotency-key", "a")).problem(400, "invalid-header");
    assert!(detail.contains("once"), "{detail}");
}

/// The order and the answer under its key are written together: a commit that fails leaves neither.
#[test]
fn an_order_and_its_key_share_one_commit() {
    let service = Service::new();
    service.call(&mut keyed("k"));
    assert_eq!(service.store.calls.get()[2], 1);
    let keys = service.store.keys("");
    let prefixes: Vec<_> = keys.iter().map(|key| key.split('/').next().unwrap()).collect();
    assert_eq!(prefixes, ["c", "e", "i", "o", "s", "x"]);
}

/// "two racing creates with one key give one order and two equal answers".
#[test]
fn the_loser_of_a_race_answers_as_the_winner() {
    let service = Service::new();
    let winner = Service::new();
    let answer = winner.call(&mut keyed("k"));
    let theirs = winner.store.records.borrow().clone();
    service.store.before_commit(move |store| store.records.borrow_mut().extend(theirs));
    service.random.0.set(99);
    let (replayed, fields, content) = parts(&service.call(&mut keyed("k")));
    assert!(replayed);
    assert_eq!((false, fields, content), parts(&answer));
    assert_eq!(service.store.values("o/").len(), 1);
}

/// "Kept 24 h": after that the key is free, whether or not its record has been swept.
#[test]
fn an_expired_key_is_free() {
    let service = Service::new();
    let first = parts(&service.call(&mut keyed("k")));
    service.clock.0.set(service.clock.0.get() + DAY);
    let second = parts(&service.call(&mut keyed("k").body(minimal().to_string())));
    assert!(!second.0 && second.2 != first.2);
    assert!(parts(&service.call(&mut keyed("k").body(minimal().to_string()))).0);
    assert_eq!((service.store.keys("i/").len(), service.store.keys("x/").len()), (1, 1));
    assert_eq!(service.store.values("o/").len(), 2);
}

/// The same, when another create with that key comes first, or when the create sweeps the key's own old place: one order
/// more and one answer, that both give.
#[test]
fn a_race_for_an_expired_key_has_one_winner() {
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

/// A key that is used anew, while another create is about to sweep it, keeps its new answer.
#[test]
fn an_answer_that_was_renewed_is_not_swept() {
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

/// A create that others always beat to its key's slot asks three times, then says so.
#[test]
fn a_slot_that_is_always_lost_is_503() {
    for (losses, status) in [(2, 201), (3, 503)] {
        let service = Service::new();
        // Another answer is there at the commit, and gone when it is looked for.
        for _ in 0..losses {
            service.store.conflict_once();
        }
        assert_eq!(service.call(&mut keyed("k")).status(), status, "{losses}");
        assert_eq!(service.store.values("o/").len(), usize::from(status == 201));
    }
}

/// "swept after 24 h": creates with keys remove more expired records than they add.
#[test]
fn expired_keys_are_swept() {
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

/// The same when many creates overlap: each has read the queue before any other has committed.
#[test]
fn expired_keys_are_swept_by_creates_that_overlap() {
    for width in [1, 16, 64] {
        let service = Rc::new(Service::new());
        (0..1000).for_each(|index| _ = service.call(&mut keyed(&format!("old-{index}"))));
        service.clock.0.set(service.clock.0.get() + DAY);
        for round in 0..640 / width {
            overlapping(&service, &format!("new-{round}"), width);
        }
        let left = service.store.keys("i/").len();
        assert_eq!(service.store.keys("x/").len(), left);
        assert!(left <= 1000, "{width} at once: more come than go, {left} are there");
    }
}

/// Makes so many creates, each of which begins when the one before is about to commit.
fn overlapping(service: &Rc<Service>, name: &str, width: u32) {
    if width > 1 {
        let (next, name) = (Rc::clone(service), name.to_owned());
        service.store.before_commit(move |_| overlapping(&next, &name, width - 1));
    }
    assert!(!parts(&service.call(&mut keyed(&format!("{name}-{width}")))).0);
}

/// Whoever else sweeps the same records, the create goes through.
#[test]
fn sweeping_yields_to_others() {
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
        assert_eq!(service.store.calls.get()[0], 1, "it does not begin anew");
        assert_eq!((service.store.keys("i/").len(), service.store.keys("x/").len()), (1, 1));
    }
}
