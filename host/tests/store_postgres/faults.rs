//! Faults of the server and the network, one test each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use orders_host::{
    config::StoreLocation,
    store::{self, Key, StoreError},
};

use crate::{
    harness::{TestHost, orders, within},
    postgres::{self, Server},
    proxy::{Network, Proxy},
    service::{LockHolder, REQUEST_TIMEOUT, Service, must_be_unavailable},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_service_recovers_from_a_server_restart() {
    let mut server = Server::start(&[]);
    let service = Service::start(&server).await;
    let before = service.create().await;
    server.stop();
    service.must_be_down("the server cannot be reached").await;
    server.resume();
    service.must_recover().await;
    assert_eq!(service.get(before.field("location")).await.json(), before.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_end_while_idle_are_reopened() {
    let server = postgres::shared();
    let (database, proxy) = (server.database(), Proxy::start(&server.socket()).await);
    // One connection for reads and one for commits: both are open once a request has worked, and none is being
    // opened.
    let options = ["--store", &proxy.url(&database), "--store-connections", "2"];
    let host = TestHost::start(&orders(), &options).await;
    let service = Service { host, proxy, database };
    let lost = |line: &serde_json::Value| line["event"] == "store.connection_lost";
    for round in 1..=3 {
        service.must_work().await;
        terminate(server, &service.database);
        service.host.log().wait_for_count("the connections to end", 2 * round, lost).await;
    }
    service.must_work().await;
}

/// Terminates all connections to a database, as an administrator does.
fn terminate(server: &Server, database: &str) {
    let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
    server.sql("postgres", &sql);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server_makes_the_service_not_ready_but_reads_work() {
    let server = Server::start(&[]);
    let service = Service::start(&server).await;
    let before = service.create().await;
    // A connection that exists may still read; a new one would look for a server that accepts writes.
    assert_eq!(service.get(before.field("location")).await.json(), before.json());
    let read_only = |on: &str| {
        server.sql("postgres", &format!("ALTER SYSTEM SET default_transaction_read_only = {on}"));
        server.sql("postgres", "SELECT pg_reload_conf()");
    };
    read_only("on");
    // Sessions apply the setting before their next statement; this query uses a new session.
    while server.sql("postgres", "SHOW transaction_read_only") != "on" {}
    service.must_not_be_ready("is read-only").await;
    must_be_unavailable(&service.create().await, "read-only");
    // No other client writes now, so the read is current.
    assert_eq!(service.get(before.field("location")).await.json(), before.json());
    server.sql("postgres", "ALTER SYSTEM RESET default_transaction_read_only");
    server.sql("postgres", "SELECT pg_reload_conf()");
    service.must_recover().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_recovers_from_a_hanging_network() {
    let service = Service::start(postgres::shared()).await;
    let before = service.create().await;
    service.proxy.network(Network::Hanging);
    service.must_be_down("in time").await;
    service.proxy.network(Network::Working);
    service.must_recover().await;
    assert_eq!(service.get(before.field("location")).await.json(), before.json());
}

/// A device on the network has dropped its state of the open connections: nothing arrives on them, not even their
/// end. New ones work. A request for `/ready` is enough to detect that.
#[tokio::test(flavor = "multi_thread")]
async fn unresponsive_connections_are_abandoned() {
    let service = Service::start(postgres::shared()).await;
    service.must_work().await;
    service.proxy.forget();
    service.must_not_be_ready("in time").await;
    service.must_recover().await;
}

/// As above, and nobody asks for `/ready`. The first request that meets it waits in vain; the others do not.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_dropped_silently_cost_one_request_and_not_one_each() {
    const THREADS: usize = 4;
    let server = postgres::shared();
    let database = server.database();
    let proxy = Proxy::start(&server.socket()).await;
    let timeout = format!("{}s", REQUEST_TIMEOUT.as_secs());
    let threads = THREADS.to_string();
    let url = proxy.url(&database);
    let options =
        ["--store", &url, "--request-timeout", &timeout, "--threads", &threads, "--store-connections", "8"];
    let host = TestHost::start(&orders(), &options).await;
    // Connections go to the threads in turn, and each thread has a connection of its own.
    let mut clients = Vec::new();
    for _ in 0..2 * THREADS {
        clients.push(host.connect().await);
    }
    let created = clients[0].create().await.unwrap();
    let order = created.field("location").to_owned();
    // One for the reads of each thread, and two that commit. One that is being prepared is idle between two statements, too.
    let count = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND state = 'idle' \
         AND query NOT ILIKE 'SET%' AND query <> ''"
    );
    let wanted = (THREADS + 2).to_string();
    let connected = async {
        let mut rounds = 0;
        while rounds < 10 {
            rounds = if server.sql("postgres", &count) == wanted { rounds + 1 } else { 0 };
            for client in &mut clients {
                assert_eq!(client.get(&order).await.json(), created.json());
            }
        }
    };
    within("all connections to be up", connected).await;

    proxy.forget();
    let mut failed = 0;
    for client in &mut clients {
        let response = client.get(&order).await;
        if response.status() == 200 {
            assert_eq!(response.json(), created.json());
        } else {
            must_be_unavailable(&response, "its connection was dropped");
            failed += 1;
        }
    }
    assert_eq!(failed, 1, "requests that met a dropped connection");
    assert_eq!(clients[0].create().await.unwrap().status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_recovers_from_the_connection_limit() {
    let server = postgres::shared();
    let database = &server.database();
    // The limit does not apply to superusers.
    let user = format!("user_of_{database}");
    server.sql("postgres", &format!("CREATE ROLE {user} LOGIN; ALTER DATABASE {database} OWNER TO {user}"));
    let service = Service::start_as(server, database, &user).await;
    service.must_work().await;
    let limit = |limit: i32| {
        server.sql("postgres", &format!("ALTER DATABASE {database} CONNECTION LIMIT {limit}"));
    };
    limit(0);
    terminate(server, database);
    service.must_be_down("has reached its connection limit").await;
    limit(-1);
    service.must_recover().await;
}

/// Another session holds a lock on the table, as a careless migration does.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_recovers_from_a_locked_table() {
    let server = postgres::shared();
    let service = Service::start(server).await;
    let before = service.create().await;
    let holder = LockHolder::acquire(server, &service.database, "LOCK TABLE orders_state.entries").await;
    service.must_be_down("no read completed in time").await;
    holder.release().await;
    service.must_recover().await;
    assert_eq!(service.get(before.field("location")).await.json(), before.json());
}

/// Another session holds the commit lock: no commit takes effect, but reads work.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_commit_lock_makes_the_service_not_ready_but_reads_work() {
    let server = postgres::shared();
    let service = Service::start(server).await;
    let before = service.create().await;
    let lock = "SELECT pg_advisory_xact_lock(x'4F52445300000002'::bigint)";
    let holder = LockHolder::acquire(server, &service.database, lock).await;
    service.must_not_be_ready("no commit acquired the lock in time").await;
    must_be_unavailable(&service.create().await, "without the lock");
    assert_eq!(service.get(before.field("location")).await.json(), before.json());
    holder.release().await;
    service.must_recover().await;
}

/// More calls than may be in flight, on a server that replies to none of them: each fails in time.
#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_limit_fail_in_time() {
    let server = postgres::shared();
    let database = server.database();
    let mut location: StoreLocation = server.url(&database).parse().unwrap();
    let StoreLocation::Postgres(inner) = &mut location else { panic!("{location}") };
    inner.timeout = Duration::from_secs(2);
    let store = store::open(&location).await.unwrap();
    let holder = LockHolder::acquire(server, &database, "LOCK TABLE orders_state.entries").await;
    let started = Instant::now();
    let key = || vec![Key::try_from("k".to_owned()).unwrap()];
    let results = join_all((0..1200).map(|_| store.get(key()))).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(results.iter().all(|result| matches!(result, Err(StoreError::Unavailable(_)))), "{results:?}");
    holder.release().await;
    within("a successful read", async { while store.get(key()).await.is_err() {} }).await;
    store.close().await;
}

/// Whatever the number of requests, an unreachable server sees one connection attempt at a time, with growing delays.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_is_not_flooded_with_attempts() {
    let service = Arc::new(Service::start(postgres::shared()).await);
    service.must_work().await;
    service.proxy.network(Network::Refusing);
    let mut accepted = service.proxy.accepted();
    let (cut, before) = (Instant::now(), *accepted.borrow());
    service.proxy.cut();

    let (done, rejected) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients = (0..16).map(|_| {
        let (service, done, rejected) = (Arc::clone(&service), Arc::clone(&done), Arc::clone(&rejected));
        tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                must_be_unavailable(&service.create().await, "unreachable");
                rejected.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    within("attempts", accepted.wait_for(|count| *count >= before + 7)).await.unwrap();
    let took = cut.elapsed();
    done.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    // At least half of 50, 100, 200, 400, 800 and 1000 ms.
    assert!(took >= Duration::from_millis(1200), "seven attempts in {took:?}");
    let rejected = rejected.load(Ordering::SeqCst);
    assert!(rejected > 100, "only {rejected} requests got a response in {took:?}");
    service.proxy.network(Network::Working);
    service.must_recover().await;
}

/// The primary fails and its standby is promoted: the service finds it by the same URL. No acknowledged order is
/// lost, because the standby received each one before it was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_follows_a_promoted_standby() {
    let mut primary = Server::start(&["synchronous_standby_names=*"]);
    let standby = primary.standby();
    let hosts = [&standby, &primary].map(|server| server.folder().display().to_string().replace('/', "%2F"));
    let url = format!("postgres://postgres@{}/postgres", hosts.join(","));
    let timeout = format!("{}s", REQUEST_TIMEOUT.as_secs());
    let host = TestHost::start(&orders(), &["--store", &url, "--request-timeout", &timeout]).await;
    let created = host.connect().await.create().await.unwrap();
    assert_eq!(created.status(), 201, "{created:?}");
    primary.stop();
    host.ready(503).await;
    standby.sql("postgres", "SELECT pg_promote()");
    host.ready(200).await;
    let read = host.get(created.field("location")).await;
    assert_eq!(read.json(), created.json());
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
}
