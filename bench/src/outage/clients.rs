//! Clients that create orders during the outage and record every response, and the comparison of their orders with the
//! stored ones.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use orders_bench::client::{Connection, ORDER, Response};
use xtask::{command::pause, host::field};

/// The pause after a failed request: shorter than `Retry-After`, so that there are more requests to observe.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long a client retries a create.
const RETRY_LIMIT: Duration = Duration::from_secs(60);
/// The interval between two requests for `/ready`.
const READY_INTERVAL: Duration = Duration::from_millis(20);

/// A request that ended.
pub(super) struct Request {
    /// Since the beginning.
    pub(super) ended: Duration,
    pub(super) latency: Duration,
    /// None without a response.
    pub(super) status: Option<u16>,
}

/// What clients recorded.
#[derive(Default)]
pub(super) struct Record {
    pub(super) requests: Vec<Request>,
    /// Ids of the orders whose creation was acknowledged.
    pub(super) acknowledged: Vec<String>,
    /// Creates that were given up without a known result.
    pub(super) unsettled: u32,
}

impl Record {
    /// Adds the record of another client.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.requests.extend(other.requests);
        self.acknowledged.extend(other.acknowledged);
        self.unsettled += other.unsettled;
        self
    }

    /// The number of requests that ended with 201, 200, 503, any other status, and without a response: in one second since
    /// the beginning, or in all.
    pub(super) fn outcomes(&self, second: Option<u64>) -> [usize; 5] {
        let mut outcomes = [0; 5];
        let ended_in = |request: &&Request| second.is_none_or(|second| request.ended.as_secs() == second);
        for request in self.requests.iter().filter(ended_in) {
            let [created, read, unavailable, others, unanswered] = &mut outcomes;
            *match request.status {
                Some(201) => created,
                Some(200) => read,
                Some(503) => unavailable,
                Some(_) => others,
                None => unanswered,
            } += 1;
        }
        outcomes
    }
}

/// A client that reconnects when its connection breaks.
pub(super) struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
    began: Instant,
    record: Record,
}

impl Client {
    pub(super) fn new(address: SocketAddr, began: Instant) -> Self {
        Self { address, connection: None, began, record: Record::default() }
    }

    /// Creates orders for a customer and reads each back until `done`. Retries a failed create with the same
    /// `Idempotency-Key` until it is acknowledged.
    pub(super) fn run(mut self, customer: &str, done: &AtomicBool) -> Record {
        let order = ORDER.replace("ada", customer);
        let mut number = 0_u32;
        while !done.load(Ordering::Relaxed) {
            number += 1;
            let key = format!("{customer}-{number}");
            let deadline = Instant::now() + RETRY_LIMIT;
            let created = loop {
                let created = self.request(201, |connection| connection.create_with_key(&order, &key));
                if created.is_some() || Instant::now() > deadline {
                    break created;
                }
            };
            let Some(created) = created else {
                self.record.unsettled += 1;
                continue;
            };
            let id = field(&created, "id").unwrap_or_default().to_owned();
            self.request(200, |connection| connection.fetch(&format!("/api/v1/orders/{id}")));
            self.record.acknowledged.push(id);
        }
        self.record
    }

    /// Sends a request and records how it ended. Returns the body if the status is the expected one; pauses otherwise.
    fn request(
        &mut self,
        expected: u16,
        send: impl FnOnce(&mut Connection) -> io::Result<Response>,
    ) -> Option<String> {
        let sent = Instant::now();
        let response = self.connect().and_then(send);
        let status = response.as_ref().ok().map(|response| response.status);
        let (ended, latency) = (self.began.elapsed(), sent.elapsed());
        self.record.requests.push(Request { ended, latency, status });
        match response {
            Ok(response) if response.status == expected => return Some(response.body),
            Ok(_) => {}
            Err(_) => self.connection = None,
        }
        pause(RETRY_PAUSE);
        None
    }

    fn connect(&mut self) -> io::Result<&mut Connection> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(self.address)?);
        }
        self.connection.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// Requests `/ready` until `done`. Returns when the response changed, and whether it was 200 then.
pub(super) fn watch_ready(address: SocketAddr, began: Instant, done: &AtomicBool) -> Vec<(Duration, bool)> {
    let mut changes: Vec<(Duration, bool)> = Vec::new();
    while !done.load(Ordering::Relaxed) {
        // On a new connection each time, as load balancers do.
        let ready = Connection::open(address).and_then(|mut connection| connection.get("/ready")).is_ok();
        if changes.last().is_none_or(|(_, before)| *before != ready) {
            changes.push((began.elapsed(), ready));
        }
        pause(READY_INTERVAL);
    }
    changes
}

/// The ids of all orders of a customer.
pub(super) fn orders_of(address: SocketAddr, customer: &str) -> io::Result<Vec<String>> {
    let mut connection = Connection::open(address)?;
    let path = format!("/api/v1/orders?customer={customer}&limit=100");
    let (mut ids, mut next) = (Vec::new(), path.clone());
    loop {
        let page = connection.get(&next)?;
        let orders = page.split("\"id\":\"").skip(1);
        ids.extend(orders.filter_map(|order| Some(order.split('"').next()?.to_owned())));
        match field(&page, "next_cursor") {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return Ok(ids),
        }
    }
}

/// The number of acknowledged orders that are missing from the store, and of stored orders that were not acknowledged or are
/// there twice.
pub(super) fn compare(acknowledged: &[String], stored: &[String]) -> (usize, usize) {
    let expected: HashSet<&String> = acknowledged.iter().collect();
    let present: HashSet<&String> = stored.iter().collect();
    (expected.difference(&present).count(), stored.len() - expected.intersection(&present).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_surplus_orders_are_counted() {
        let ids = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(compare(&ids("a b c"), &ids("c b a")), (0, 0));
        assert_eq!(compare(&ids("a b c"), &ids("a c")), (1, 0));
        assert_eq!(compare(&ids("a b"), &ids("a b c")), (0, 1));
        assert_eq!(compare(&ids("a b"), &ids("a b b")), (0, 1));
    }

    #[test]
    fn outcomes_are_counted_by_second() {
        let request = |second, status| {
            let request = Request { ended: Duration::from_secs(second), latency: Duration::ZERO, status };
            Record { requests: vec![request], ..Record::default() }
        };
        let others = [request(2, Some(503)), request(2, None), request(2, Some(500))];
        let all = others.into_iter().fold(request(0, Some(201)), Record::merge);
        assert_eq!(
            [0, 1, 2].map(|second| all.outcomes(Some(second))),
            [[1, 0, 0, 0, 0], [0; 5], [0, 0, 1, 1, 1]]
        );
        assert_eq!(all.outcomes(None), [1, 0, 1, 1, 1]);
    }
}
