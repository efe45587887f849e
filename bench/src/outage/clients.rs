//! Those who ask all the while, and remember what they were told.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use orders_bench::client::{Connection, ORDER};
use xtask::{command::pause, host::field};

/// After an answer that was not what was asked for, a client holds off for so long: less than `Retry-After` says, lest
/// there be little to see.
const HOLD_OFF: Duration = Duration::from_millis(100);
/// How long a create may be tried again and again.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// How often it is asked whether the service is ready.
const WATCHED_EVERY: Duration = Duration::from_millis(20);

/// How requests ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    /// 201.
    pub(super) created: u32,
    /// 200.
    pub(super) read: u32,
    /// 503.
    pub(super) unavailable: u32,
    /// Any other status.
    pub(super) others: u32,
    /// No answer at all.
    pub(super) unanswered: u32,
}

impl Outcomes {
    /// One request that ended with this status, or without an answer.
    fn one(status: Option<&str>) -> Self {
        let mut one = Self::default();
        *match status {
            Some("201") => &mut one.created,
            Some("200") => &mut one.read,
            Some("503") => &mut one.unavailable,
            Some(_) => &mut one.others,
            None => &mut one.unanswered,
        } = 1;
        one
    }

    fn add(&mut self, other: Self) {
        self.created += other.created;
        self.read += other.read;
        self.unavailable += other.unavailable;
        self.others += other.others;
        self.unanswered += other.unanswered;
    }
}

/// What has been seen, by one client or by all.
#[derive(Default)]
pub(super) struct Seen {
    /// By the second in which the request ended.
    pub(super) seconds: Vec<Outcomes>,
    /// The longest that an answer took.
    pub(super) longest: Duration,
    /// Ids of the orders whose creation was acknowledged.
    pub(super) acknowledged: Vec<String>,
    /// Creates whose fate is not known to the last.
    pub(super) unsettled: u32,
}

impl Seen {
    /// Adds what another client has seen.
    pub(super) fn add(&mut self, other: Self) {
        for (second, outcomes) in other.seconds.into_iter().enumerate() {
            self.count(second, outcomes);
        }
        self.longest = self.longest.max(other.longest);
        self.acknowledged.extend(other.acknowledged);
        self.unsettled += other.unsettled;
    }

    /// All outcomes together.
    pub(super) fn total(&self) -> Outcomes {
        self.seconds.iter().fold(Outcomes::default(), |mut total, second| {
            total.add(*second);
            total
        })
    }

    fn count(&mut self, second: usize, outcomes: Outcomes) {
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, Outcomes::default());
        }
        if let Some(there) = self.seconds.get_mut(second) {
            there.add(outcomes);
        }
    }
}

/// A client with its connection, which it makes anew when it breaks.
pub(super) struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
    began: Instant,
    seen: Seen,
}

impl Client {
    pub(super) fn new(address: SocketAddr, began: Instant) -> Self {
        Self { address, connection: None, began, seen: Seen::default() }
    }

    /// Creates orders and reads each back until it is done. A create that fails is repeated with its key, until it is
    /// settled.
    pub(super) fn work(mut self, name: &str, done: &AtomicBool) -> Seen {
        let order = ORDER.replace("ada", name);
        let mut number = 0_u32;
        while !done.load(Ordering::Relaxed) {
            number += 1;
            let key = format!("{name}-{number}");
            let deadline = Instant::now() + SETTLED_WITHIN;
            let created = loop {
                let answer = self.ask("201", |connection| connection.create_once(&order, &key));
                if answer.is_some() || Instant::now() > deadline {
                    break answer;
                }
            };
            let Some(created) = created else {
                self.seen.unsettled += 1;
                continue;
            };
            let id = field(&created, "id").unwrap_or_default().to_owned();
            self.ask("200", |connection| connection.look(&format!("/api/v1/orders/{id}")));
            self.seen.acknowledged.push(id);
        }
        self.seen
    }

    /// Asks for something; gives it if the answer has this status, and holds off if not.
    fn ask(
        &mut self,
        wanted: &str,
        what: impl FnOnce(&mut Connection) -> io::Result<(String, String)>,
    ) -> Option<String> {
        let asked = Instant::now();
        let answer = self.connected().and_then(what);
        let second = usize::try_from(self.began.elapsed().as_secs()).unwrap_or(usize::MAX);
        self.seen.longest = self.seen.longest.max(asked.elapsed());
        let status = answer.as_ref().ok().map(|(status, _)| status.as_str());
        self.seen.count(second, Outcomes::one(status));
        match answer {
            Ok((status, body)) if status == wanted => return Some(body),
            Ok(_) => {}
            Err(_) => self.connection = None,
        }
        pause(HOLD_OFF);
        None
    }

    fn connected(&mut self) -> io::Result<&mut Connection> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(self.address)?);
        }
        self.connection.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// When `/ready` began to say something else, and whether that was 200.
pub(super) fn watch(address: SocketAddr, began: Instant, done: &AtomicBool) -> Vec<(Duration, bool)> {
    let mut changes: Vec<(Duration, bool)> = Vec::new();
    while !done.load(Ordering::Relaxed) {
        // A connection each, as load balancers do.
        let answer = Connection::open(address).and_then(|mut connection| connection.look("/ready"));
        let ready = answer.is_ok_and(|(status, _)| status == "200");
        if changes.last().is_none_or(|(_, before)| *before != ready) {
            changes.push((began.elapsed(), ready));
        }
        pause(WATCHED_EVERY);
    }
    changes
}

/// The ids of all orders of a customer.
///
/// # Errors
///
/// Any answer but 200.
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

/// Orders that were acknowledged and are not there, and orders that are there and were not acknowledged, or twice.
pub(super) fn compare(acknowledged: &[String], there: &[String]) -> (usize, usize) {
    let told: HashSet<&String> = acknowledged.iter().collect();
    let kept: HashSet<&String> = there.iter().collect();
    (told.difference(&kept).count(), there.len() - told.intersection(&kept).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_is_too_much_is_counted() {
        let ids = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(compare(&ids("a b c"), &ids("c b a")), (0, 0));
        assert_eq!(compare(&ids("a b c"), &ids("a c")), (1, 0));
        assert_eq!(compare(&ids("a b"), &ids("a b c")), (0, 1));
        assert_eq!(compare(&ids("a b"), &ids("a b b")), (0, 1));
    }

    #[test]
    fn outcomes_of_all_clients_are_added_by_second() {
        let client = |second: usize, status| {
            let mut seen = Seen::default();
            seen.count(second, Outcomes::one(status));
            seen
        };
        let mut all = client(0, Some("201"));
        all.add(client(2, Some("503")));
        all.add(client(2, None));
        all.add(client(2, Some("500")));
        assert_eq!(all.seconds[1], Outcomes::default());
        assert_eq!(
            all.seconds[2],
            Outcomes { unavailable: 1, others: 1, unanswered: 1, ..Outcomes::default() }
        );
        assert_eq!(all.total().created, 1);
    }
}
