//! The cost of calls. Waiting commits share a transaction if they touch different keys; the server's transaction ids
//! show which do.

use futures_util::{FutureExt, future::join_all};
use orders_host::{
    config::StoreLocation,
    store::{self, Check, Commit, Key, Order, Outcome, Scan, Store, StoreError, Value, Write},
};

use crate::{
    postgres::{self, Server},
    proxy::Proxy,
};

/// Few enough that one task can queue all of them without being preempted by the runtime.
const COMMITS: usize = 30;

fn key(text: &str) -> Key {
    Key::try_from(text.to_owned()).unwrap()
}

fn put(at: &str) -> Write {
    Write::Put(key(at), Value::try_from(vec![1]).unwrap())
}

/// Makes commits that all wait at the same time.
async fn commit_concurrently(
    store: &dyn Store,
    commits: impl Iterator<Item = Commit>,
) -> Vec<Result<Outcome, StoreError>> {
    let mut waiting: Vec<_> = commits.map(|commit| store.commit(commit)).collect();
    // On this single thread, nothing is sent before all of them are queued.
    for commit in &mut waiting {
        assert!(commit.now_or_never().is_none());
    }
    join_all(waiting).await
}

/// The number of transactions that wrote the entries of the store.
fn transactions(server: &Server, database: &str) -> usize {
    server.sql(database, "SELECT count(DISTINCT xmin::text) FROM orders_state.entries").parse().unwrap()
}

#[tokio::test]
async fn commits_of_different_keys_share_a_transaction() {
    let server = postgres::shared();
    let database = server.database();
    let store = store::open(&server.url(&database).parse().unwrap()).await.unwrap();
    let commits = (0..COMMITS).map(|n| {
        let own = format!("k/{n}");
        // A key that all of them only check does not separate them.
        let checks = vec![Check::Absent(key(&own)), Check::Absent(key("common"))];
        Commit::new(checks, vec![put(&own), put(&format!("l/{n}"))]).unwrap()
    });
    let mut revisions = Vec::new();
    for outcome in commit_concurrently(&*store, commits).await {
        let Ok(Outcome::Committed(revision)) = outcome else { panic!("{outcome:?}") };
        revisions.push(revision);
    }
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!((revisions.len(), transactions(server, &database)), (COMMITS, 1));

    // A conflict affects only its own commit.
    let commits = (0..COMMITS).map(|n| {
        let own = format!("m/{n}");
        let first = Check::Absent(key(&own));
        let second = Check::Absent(key(&format!("k/{}", if n % 2 == 0 { n } else { n + COMMITS })));
        Commit::new(vec![first, second], vec![put(&own)]).unwrap()
    });
    for (n, outcome) in commit_concurrently(&*store, commits).await.into_iter().enumerate() {
        let outcome = outcome.unwrap();
        assert_eq!(outcome == Outcome::Conflict(1), n % 2 == 0, "{n}: {outcome:?}");
    }
    assert_eq!(transactions(server, &database), 2);
    store.close().await;
}

#[tokio::test]
async fn commits_of_one_key_do_not_share_a_transaction() {
    let server = postgres::shared();
    let database = server.database();
    let store = store::open(&server.url(&database).parse().unwrap()).await.unwrap();
    // Each writes a key that the others write, or that the others check.
    for checks in [vec![], vec![Check::Absent(key("one"))]] {
        let commits = (0..10).map(|n| {
            Commit::new(checks.clone(), vec![put("one"), put(&format!("{}/{n}", checks.len()))]).unwrap()
        });
        let outcomes = commit_concurrently(&*store, commits).await;
        let committed =
            outcomes.iter().filter(|outcome| matches!(outcome, Ok(Outcome::Committed(_)))).count();
        assert_eq!(committed, if checks.is_empty() { 10 } else { 0 });
    }
    // The last of them has overwritten the common key.
    assert_eq!(transactions(server, &database), 10);
    store.close().await;
}

/// Each call is one round trip, whatever its size.
#[tokio::test]
async fn a_call_is_one_round_trip() {
    let server = postgres::shared();
    let proxy = Proxy::start(&server.socket()).await;
    let mut location = proxy.url(&server.database()).parse().unwrap();
    if let StoreLocation::Postgres(server) = &mut location {
        // One connection for reads and one for commits: a third would be opened meanwhile.
        server.connections = 2;
    }
    let store = store::open(&location).await.unwrap();
    let keys = |count: usize| (0..count).map(|n| key(&format!("k/{n}"))).collect::<Vec<_>>();
    let scan = |order| Scan::new(key("k/"), key("k0"), 1000, order).unwrap();
    let commit = |count: usize| {
        let checks = keys(count).into_iter().map(Check::Absent).collect();
        let writes = keys(count).into_iter().map(|key| Write::Put(key, Value::try_from(vec![1]).unwrap()));
        Commit::new(checks, writes.collect()).unwrap()
    };
    // Opens both connections and prepares their statements.
    store.health().await.unwrap();
    let before = proxy.calls();
    let round_trips = || proxy.calls() - before;
    assert!(matches!(store.commit(commit(100)).await, Ok(Outcome::Committed(_))));
    assert_eq!(round_trips(), 1);
    assert_eq!(store.commit(commit(1)).await, Ok(Outcome::Conflict(0)));
    assert_eq!(round_trips(), 2);
    assert_eq!(store.get(keys(1)).await.unwrap().len(), 1);
    assert_eq!(round_trips(), 3);
    assert_eq!(store.get(keys(200)).await.unwrap().iter().flatten().count(), 100);
    assert_eq!(round_trips(), 4);
    assert_eq!(store.scan(scan(Order::Ascending)).await.unwrap().len(), 100);
    assert_eq!(round_trips(), 5);
    assert_eq!(store.scan(scan(Order::Descending)).await.unwrap().len(), 100);
    assert_eq!(round_trips(), 6);
    store.close().await;
}

/// The caller may be retrying already, so a commit that has not been sent when its caller gives up is never sent.
#[tokio::test]
async fn a_commit_whose_caller_gave_up_is_not_sent() {
    let server = postgres::shared();
    let database = server.database();
    let store = store::open(&server.url(&database).parse().unwrap()).await.unwrap();
    let commit = |at: &str| Commit::new(vec![], vec![put(at)]).unwrap();
    let mut abandoned = store.commit(commit("abandoned"));
    assert!((&mut abandoned).now_or_never().is_none());
    drop(abandoned);
    assert!(matches!(store.commit(commit("wanted")).await, Ok(Outcome::Committed(_))));
    assert_eq!(store.get(vec![key("abandoned")]).await, Ok(vec![None]));
    store.close().await;
}
