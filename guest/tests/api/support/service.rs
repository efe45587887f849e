//! The service that each test runs.

use std::cell::Cell;

use orders_guest::handlers::{Services, fill_indexes, handle};
use orders_guest::platform::{Clock, Random, WallTime};
use serde_json::{Value, json};

use super::bodies::{minimal, with};
use super::call::Call;
use super::description;
use super::response::TestResponse;
use super::store::MemoryStore;

/// 2026-11-22T12:30:06.000Z.
pub(crate) const NOON: u64 = 1_795_350_606_000;

/// A service with its own store, clock and randomness.
pub(crate) struct Service {
    pub(crate) store: MemoryStore,
    pub(crate) clock: TestClock,
    pub(crate) random: TestRandom,
}

impl Service {
    pub(crate) fn new() -> Self {
        Self {
            store: MemoryStore::default(),
            clock: TestClock(Cell::new(NOON), Waits::default()),
            random: TestRandom(Cell::new(1)),
        }
    }

    pub(crate) fn call(&self, call: &mut Call) -> TestResponse {
        let services = Services { store: &self.store, clock: &self.clock, random: &self.random };
        let response = TestResponse(handle(call, &services));
        if response.0.fills_indexes {
            fill_indexes(&services);
        }
        description::check(call.method(), call.target(), &response);
        response
    }

    pub(crate) fn get(&self, target: &str) -> TestResponse {
        self.call(&mut Call::new("GET", target))
    }

    /// Sends an action without a body.
    pub(crate) fn act(&self, id: &str, action: &str) -> TestResponse {
        self.call(&mut Call::new("POST", &format!("/api/v1/orders/{id}/{action}")))
    }

    /// Sends a merge patch.
    pub(crate) fn patch(&self, id: &str, patch: &Value) -> TestResponse {
        self.call(&mut Call::patch(id, patch))
    }

    /// Sends a POST to the orders with a JSON body.
    pub(crate) fn post(&self, body: impl AsRef<[u8]>) -> TestResponse {
        self.call(&mut Call::post(body))
    }

    /// Advances the clock by one millisecond, creates an order and returns its id.
    pub(crate) fn create(&self) -> String {
        self.create_for("c")
    }

    /// Like [`Service::create`], for a customer.
    pub(crate) fn create_for(&self, customer: &str) -> String {
        self.clock.0.set(self.clock.0.get() + 1);
        let response = self.post(with(minimal(), "/customer", json!(customer)).to_string());
        assert_eq!(response.status(), 201);
        response.json()["id"].as_str().unwrap().to_owned()
    }
}

/// A clock that shows the time to which it is set, in milliseconds, and advances only while somebody waits.
pub(crate) struct TestClock(pub(crate) Cell<u64>, pub(crate) Waits);

/// What has been waited for, in nanoseconds.
#[derive(Default)]
pub(crate) struct Waits {
    pub(crate) count: Cell<u32>,
    pub(crate) total_ns: Cell<u64>,
}

impl Clock for TestClock {
    fn now(&self) -> WallTime {
        let waited_ns = self.1.total_ns.get();
        let sub_ms_ns = u32::try_from(waited_ns % 1_000_000).unwrap();
        WallTime { unix_ms: self.0.get() + waited_ns / 1_000_000, sub_ms_ns }
    }

    /// Does not follow the time of day.
    fn monotonic_ns(&self) -> u64 {
        7 + self.1.total_ns.get()
    }

    fn wait(&self, ns: u64) {
        self.1.count.set(self.1.count.get() + 1);
        self.1.total_ns.set(self.1.total_ns.get() + ns);
    }
}

/// A reproducible source of randomness: SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
/// 2014).
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
