//! How often `/ready` asks the database.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::{postgres, service::Service};

/// The round trips of one question: the read and the commit.
const CALLS: usize = 2;
/// More than the connections that are opened meanwhile take: each thread has one.
const CONNECTING: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn the_cost_of_readiness_does_not_depend_on_how_many_ask() {
    let service = Service::start(postgres::shared()).await;
    service.must_work().await;
    service.host.ready(200).await;
    let (before, began) = (service.proxy.calls(), Instant::now());
    let mut asked = 0;
    while began.elapsed() < Duration::from_secs(2) {
        let responses = join_all((0..50).map(|_| service.host.get("/ready"))).await;
        assert!(responses.iter().all(|response| response.status() == 200), "{responses:?}");
        asked += responses.len();
    }
    // An answer is kept for half a second.
    let halves = usize::try_from(began.elapsed().as_millis() / 500).unwrap();
    let calls = service.proxy.calls() - before;
    assert!(
        calls <= (halves + 1) * CALLS + CONNECTING,
        "{calls} round trips for {asked} requests in {halves} half seconds"
    );
    assert!(calls > 0 && asked > CONNECTING, "{calls} round trips for {asked} requests");
}
