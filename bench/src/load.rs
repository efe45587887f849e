//! Clients that ask all at once: each has a connection, and sends its next request when it has the answer to the last.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use xtask::{command::Failed, host::field};

use crate::client::{Connection, ORDER};

/// Creates orders on all connections until there are enough; gives the time each took. `order` makes the body of each,
/// from its number, which counts down.
///
/// # Errors
///
/// [`Failed`] if an answer is not 201, or none comes.
pub fn create_all(
    address: SocketAddr,
    creates: usize,
    connections: usize,
    order: impl Fn(usize) -> String + Sync,
) -> Result<Vec<Duration>, Failed> {
    let left = AtomicUsize::new(creates);
    let take_one =
        || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok();
    let (order, take_one) = (&order, &take_one);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(address)?;
                    let mut times = Vec::new();
                    while let Some(number) = take_one() {
                        let order = order(number);
                        let began = Instant::now();
                        connection.create(&order)?;
                        times.push(began.elapsed());
                    }
                    Ok(times)
                })
            })
            .collect();
        let mut all = Vec::with_capacity(creates);
        for client in clients {
            let times: Result<Vec<Duration>, std::io::Error> =
                client.join().unwrap_or_else(|_| Err(std::io::Error::other("a client panicked")));
            all.extend(times.map_err(|error| Failed(format!("a create failed: {error}")))?);
        }
        Ok(all)
    })
}

/// The times of all requests, and how long they went on.
pub struct Times {
    times: Vec<Duration>,
    elapsed: Duration,
}

impl Times {
    /// Adds those of a later load.
    pub fn extend(&mut self, later: Self) {
        self.times.extend(later.times);
        self.elapsed += later.elapsed;
    }

    /// The time within which this part of 1000 lies.
    pub fn within(&mut self, part: usize) -> Duration {
        within(&mut self.times, part)
    }

    /// How many requests they were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.times.len()
    }

    /// How many a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let requests = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        f64::from(requests) / self.elapsed.as_secs_f64()
    }
}

/// Has all connections create and read for as long as `meanwhile` takes.
///
/// # Errors
///
/// [`Failed`] if a request failed, or what `meanwhile` says.
pub fn under_load<T>(
    address: SocketAddr,
    connections: usize,
    meanwhile: impl FnOnce() -> Result<T, Failed>,
) -> Result<(Times, T), Failed> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let began = Instant::now();
        let clients: Vec<_> =
            (0..connections).map(|_| scope.spawn(|| create_and_read(address, &done))).collect();
        let result = meanwhile();
        done.store(true, Ordering::Relaxed);
        let elapsed = began.elapsed();
        let mut times = Vec::new();
        for client in clients {
            let seen = client.join().unwrap_or_else(|_| Err(std::io::Error::other("a client panicked")));
            times.extend(seen.map_err(|error| Failed(format!("a request failed: {error}")))?);
        }
        Ok((Times { times, elapsed }, result?))
    })
}

fn create_and_read(address: SocketAddr, done: &AtomicBool) -> std::io::Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let mut times = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let began = Instant::now();
        let created = connection.create(ORDER)?;
        times.push(began.elapsed());
        let id = field(&created, "id").unwrap_or_default();
        let began = Instant::now();
        let read = connection.get(&format!("/api/v1/orders/{id}"))?;
        times.push(began.elapsed());
        if read != created {
            return Err(std::io::Error::other(format!("{read} was created as {created}")));
        }
    }
    Ok(times)
}

/// The time within which this part of 1000 lies.
pub fn within(times: &mut [Duration], part: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len() * part).div_ceil(1000).saturating_sub(1)).copied().unwrap_or_default()
}
