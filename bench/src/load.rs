//! A closed-loop load generator: each client has one connection, and sends its next request once it has the response to the
//! last.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use xtask::command::TaskError;

use crate::client::Connection;

/// Latencies in ascending order.
#[derive(Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// The nearest-rank percentile, in tenths: 999 is p99.9. Zero if there are no latencies.
    #[must_use]
    pub fn percentile(&self, tenths: usize) -> Duration {
        let rank = (self.0.len() * tenths).div_ceil(1000);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The number of requests.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl From<Vec<Duration>> for Latencies {
    fn from(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }
}

/// What a load generator measured.
pub struct Load {
    /// One for each request.
    pub latencies: Latencies,
    /// How long the load lasted.
    pub elapsed: Duration,
}

impl Load {
    /// The measurements of both loads.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let latencies = [self.latencies.0, other.latencies.0].concat().into();
        Self { latencies, elapsed: self.elapsed + other.elapsed }
    }

    /// The number of requests.
    #[must_use]
    pub fn count(&self) -> usize {
        self.latencies.count()
    }

    /// Requests per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let requests = u32::try_from(self.count()).unwrap_or(u32::MAX);
        f64::from(requests) / self.elapsed.as_secs_f64()
    }
}

/// Runs `client` on `count` threads, numbered from 0, and `meanwhile` on this one. Returns when all have ended.
///
/// # Errors
///
/// [`TaskError`] if a client failed or panicked, or with the error of `meanwhile`.
pub fn run_clients<C: Send, T>(
    count: usize,
    client: impl Fn(usize) -> io::Result<C> + Sync,
    meanwhile: impl FnOnce() -> Result<T, TaskError>,
) -> Result<(Vec<C>, T), TaskError> {
    let client = &client;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..count).map(|number| scope.spawn(move || client(number))).collect();
        let result = meanwhile();
        let ended = clients.into_iter().map(|client| {
            let ended = client.join().unwrap_or_else(|_| Err(io::Error::other("the client panicked")));
            ended.map_err(|error| TaskError(format!("a request failed: {error}")))
        });
        let ended = ended.collect::<Result<_, _>>()?;
        Ok((ended, result?))
    })
}

/// Has clients repeat `step` until it returns false, while `meanwhile` runs.
///
/// # Errors
///
/// [`TaskError`] if a step failed, or with the error of `meanwhile`.
pub fn closed_loop<T>(
    address: SocketAddr,
    connections: usize,
    step: impl Fn(&mut Connection) -> io::Result<bool> + Sync,
    meanwhile: impl FnOnce() -> Result<T, TaskError>,
) -> Result<(Load, T), TaskError> {
    let began = Instant::now();
    let run = |_| {
        let mut connection = Connection::open(address)?;
        while step(&mut connection)? {}
        Ok(connection.latencies)
    };
    let (latencies, result) = run_clients(connections, run, meanwhile)?;
    Ok((Load { latencies: latencies.concat().into(), elapsed: began.elapsed() }, result))
}

/// Creates a number of orders. `order` returns the body for a number, which counts down.
///
/// # Errors
///
/// [`TaskError`] if a response is not 201, or is missing.
pub fn create_all(
    address: SocketAddr,
    creates: usize,
    connections: usize,
    order: impl Fn(usize) -> String + Sync,
) -> Result<Load, TaskError> {
    let left = AtomicUsize::new(creates);
    let step = |connection: &mut Connection| {
        let number = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok();
        number.map(|number| connection.create(&order(number))).transpose().map(|created| created.is_some())
    };
    closed_loop(address, connections, step, || Ok(())).map(|(load, ())| load)
}

/// Has clients create orders and read them back while `meanwhile` runs.
///
/// # Errors
///
/// [`TaskError`] if a request failed, or with the error of `meanwhile`.
pub fn under_load<T>(
    address: SocketAddr,
    connections: usize,
    meanwhile: impl FnOnce() -> Result<T, TaskError>,
) -> Result<(Load, T), TaskError> {
    let done = AtomicBool::new(false);
    let step = |connection: &mut Connection| {
        connection.create_and_get()?;
        Ok(!done.load(Ordering::Relaxed))
    };
    closed_loop(address, connections, step, || {
        let result = meanwhile();
        done.store(true, Ordering::Relaxed);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_latency_at_the_nearest_rank() {
        let latencies = Latencies::from((1..=200).rev().map(Duration::from_millis).collect::<Vec<_>>());
        let at = |tenths| latencies.percentile(tenths).as_millis();
        assert_eq!([at(0), at(500), at(990), at(999), at(1000)], [1, 100, 198, 200, 200]);
        assert_eq!(Latencies::default().percentile(500), Duration::ZERO);
    }
}
