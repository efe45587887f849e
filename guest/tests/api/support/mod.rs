//! What the tests run the component with: a service over an in-memory store, an exact clock, and
//! randomness that repeats.

mod description;
mod store;

use std::cell::Cell;

use orders_guest::handlers::{Services, handle};
use orders_guest::platform::{Clock, Random};
use orders_guest::request::{BodyError, Request, Response};
use serde_json::{Value, json};

pub(crate) use self::description::{documented, operation};
pub(crate) use self::store::MemoryStore;

/// 2026-11-22T12:30:06.000Z.
pub(crate) const NOON: u64 = 1_795_350_606_000;

/// A service of its own for each test.
pub(crate) struct Service {
    pub(crate) store: MemoryStore,
    pub(crate) clock: TestClock,
    pub(crate) random: TestRandom,
}

impl Service {
    pub(crate) fn new() -> Self {
        Self {
            store: MemoryStore::default(),
            clock: TestClock(Cell::new(NOON)),
            random: TestRandom(Cell::new(1)),
        }
    }

    pub(crate) fn call(&self, call: &mut Call) -> Answer {
        let services = Services { store: &self.store, clock: &self.clock, random: &self.random };
        let answer = Answer(handle(call, &services));
        description::check(&call.method, &call.target, &answer);
        answer
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.call(&mut Call::new("GET", target))
    }

    /// POSTs to the path of an action, without a body.
    pub(crate) fn act(&self, id: &str, action: &str) -> Answer {
        self.call(&mut Call::new("POST", &format!("/api/v1/orders/{id}/{action}")))
    }

    /// Sends a merge patch.
    pub(crate) fn patch(&self, id: &str, patch: &Value) -> Answer {
        self.call(&mut Call::patch(id, patch))
    }

    /// POSTs a body as JSON.
    pub(crate) fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        self.call(&mut Call::post(body))
    }

    /// Makes an order one millisecond after the one before, and gives its id.
    pub(crate) fn create(&self) -> String {
        self.create_for("c")
    }

    /// The same for a customer.
    pub(crate) fn create_for(&self, customer: &str) -> String {
        self.clock.0.set(self.clock.0.get() + 1);
        let answer = self.post(with(minimal(), "/customer", json!(customer)).to_string());
        assert_eq!(answer.status(), 201);
        answer.json()["id"].as_str().unwrap().to_owned()
    }
}

/// Shows the time it was set to.
pub(crate) struct TestClock(pub(crate) Cell<u64>);

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.get()
    }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
pub(crate) struct TestRandom(pub(crate) Cell<u64>);

impl TestRandom {
    fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        let mixed = self.0.get();
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Random for TestRandom {
    fn bytes16(&self) -> [u8; 16] {
        ((u128::from(self.next()) << 64) | u128::from(self.next())).to_be_bytes()
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Result<Vec<u8>, BodyError>,
    /// How often the body was asked for.
    pub(crate) body_reads: u32,
}

impl Call {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, target, headers: Vec::new(), body: Ok(Vec::new()), body_reads: 0 }
    }

    /// A POST of JSON to the orders.
    pub(crate) fn post(body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", "/api/v1/orders").header("content-type", "application/json").body(body)
    }

    /// A merge patch of an order.
    pub(crate) fn patch(id: &str, patch: &Value) -> Self {
        Self::new("PATCH", &format!("/api/v1/orders/{id}"))
            .header("content-type", "application/merge-patch+json")
            .body(patch.to_string())
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The same for another target.
    pub(crate) fn at(&self, target: &str) -> Self {
        Self { target: target.to_owned(), ..self.clone() }
    }

    /// Without any field of this name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Ok(body.as_ref().to_vec());
        self
    }

    pub(crate) fn interrupted(mut self, cause: &str) -> Self {
        self.body = Err(BodyError::Interrupted(cause.to_owned()));
        self
    }
}

impl Request for Call {
    fn method(&self) -> &str {
        &self.method
    }

    fn path_and_query(&self) -> &str {
        &self.target
    }

    fn header(&self, name: &str) -> Vec<&[u8]> {
        self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_slice()).collect()
    }

    fn body(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        self.body_reads += 1;
        let body = self.body.clone()?;
        if body.len() > limit { Err(BodyError::TooLarge(limit.try_into().unwrap())) } else { Ok(body) }
    }
}

/// The version of a UUID: the first digit of its third group; after checking the variant of RFC 9562 §4.1.
pub(crate) fn uuid_version(text: &str) -> char {
    let groups: Vec<&str> = text.split('-').collect();
    assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{text}");
    assert!(groups[3].starts_with(['8', '9', 'a', 'b']), "{text}");
    groups[2].chars().next().unwrap()
}

/// A response, with what tests ask of it.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) Response);

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.0.status
    }

    /// The value of a field. None if it is not there; it must not be there twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.0.headers.iter().filter(|(other, _)| *other == name).map(|(_, value)| value);
        let value = values.next();
        assert!(values.next().is_none(), "{name} is there twice: {self:?}");
        value.map(String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.0.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.0.body).unwrap()
    }

    /// Checks that this is a well-formed problem of the given kind, and gives its detail.
    pub(crate) fn problem(&self, status: u16, slug: &str) -> String {
        assert_eq!(self.status(), status, "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{slug}"));
        assert_eq!(problem["status"], status);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(problem["instance"].is_string());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        problem["detail"].as_str().unwrap().to_owned()
    }

    /// The pointers and details of an invalid body.
    pub(crate) fn faults(&self) -> Vec<(String, String)> {
        self.problem(422, "invalid-body");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let problem = self.json();
        let errors = problem["errors"].as_array().unwrap();
        errors.iter().map(|fault| (text(&fault["pointer"]), text(&fault["detail"]))).collect()
    }
}

/// The smallest order.
pub(crate) fn minimal() -> Value {
    json!({"customer": "c", "currency": "EUR", "items": [{"sku": "s", "quantity": 1, "unit_price": 0}]})
}

/// The smallest order as a body of this many bytes.
pub(crate) fn padded(length: usize) -> String {
    let mut body = minimal().to_string();
    body.extend(std::iter::repeat_n(' ', length - body.len()));
    body
}

/// An order with every member.
pub(crate) fn full() -> Value {
    json!({
        "customer": "Ada Lovelace",
        "currency": "USD",
        "items": [
            {"sku": "A-1_b.c", "name": "Größe 😀", "quantity": 3, "unit_price": 1999},
            {"sku": "B", "quantity": 10_000, "unit_price": 1_000_000_000},
        ],
        "notes": "",
        "metadata": {"z": "", "channel": "web", "a.b_c-1": "x"},
    })
}

/// The document with a member or element set; the parent must be there. The pointer is an RFC 6901 one
/// without escapes.
pub(crate) fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Array(elements) if last == "-" => elements.push(value),
        Value::Array(elements) => elements[last.parse::<usize>().unwrap()] = value,
        parent => parent[last] = value,
    }
    document
}

/// The document without a member.
pub(crate) fn without(mut document: Value, pointer: &str) -> Value {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(last).unwrap();
    document
}
