//! What the server and the network can do to the service, one test each.

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
    service::{REQUEST_TIMEOUT, Service, must_be_unavailable},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_server_stops_and_starts_again() {
    let mut server = Server::start(&[]);
    let service = Service::start(&server).await;
    let before = service.create().await;
    server.stop();
    service.must_be_down("error communicating with the server").await;
    server.resume();
    service.must_come_back().await;
    assert_eq!(service.get(before.field("location")).await.json(), before.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_end_while_nobody_asks_are_made_anew() {
    let server = postgres::shared();
    let (database, proxy) = (server.database(), Proxy::start(&server.socket()).await);
    // One to read and one to commit: both are there once it has worked, and none is being made.
    let options = ["--store", &proxy.url(&database), "--store-connections", "2"];
    let host = TestHost::start(&orders(), &options).await;
    let service = Service { host, proxy, database };
    let ended = |line: &serde_json::Value| line["message"] == "a connection to the store has ended";
    for round in 1..=3 {
        service.must_work().await;
        terminate(server, &service.database);
        service.host.log().wait_for_count("the connections to end", 2 * round, ended).await;
    }
    service.must_work().await;
}

/// Ends all connections to a database, as an administrator does.
fn terminate(server: &Server, database: &str) {
    let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
    server.sql("postgres", &sql);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_takes_no_writes() {
    let server = Server::start(&[]);
    let service = Service::start(&server).await;
    let before = service.create().await;
    // Whoever has read before may go on reading; a new connection would look for a server that takes writes.
    assert_eq!(service.get(before.field("location")).await.json(), before.json());
    let read_only = |on: &str| {
        server.sql("postgres", &format!("ALTER SYSTEM SET default_transaction_read_only = {on}"));
        server.sql("postgres", "SELECT pg_reload_conf()");
    };
    read_only("on");
    // The sessions notice before their next statement; the one that asks is a new one.
    while server.sql("postgres", "SHOW transaction_read_only") != "on" {}
    service.must_not_be_ready("takes no writes").await;
    must_be_unavailable(&service.create().await, "read-only");
    // Nobody else writes now: what was read is true.
    assert_eq!(service.get(before.field("location")).await.json(), before.json());
    server.sql("postgres", "ALTER SYSTEM RESET default_transaction_read_only");
    server.sql("postgres", "SELECT pg_reload_conf()");
    service.must_come_back().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_hangs() {
    let service = Service::start(postgres::shared()).await;
    let before = service.create().await;
    service.proxy.network(Network::Hangs);
    service.must_be_down("within").await;
    service.proxy.network(Network::Good);
    service.must_come_back().await;
    assert_eq!(service.get(before.field("location")).await.json(), before.json());
}

/// Somewhere on the way the connections that there are have been forgotten: nothing comes back on them, and no end either.
/// New ones are good. It is enough that somebody asks `/ready`.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_answer_are_given_up() {
    let service = Service::start(postgres::shared()).await;
    service.must_work().await;
    service.proxy.forget();
    service.must_not_be_ready("within").await;
    service.must_come_back().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_takes_no_more_connections() {
    let server = postgres::shared();
    let database = &server.database();
    // A superuser may exceed the limit.
    let user = format!("user_of_{database}");
    server.sql("postgres", &format!("CREATE ROLE {user} LOGIN; ALTER DATABASE {database} OWNER TO {user}"));
    let service = Service::start_as(server, database, &user).await;
    service.must_work().await;
    let limit = |limit: i32| {
        server.sql("postgres", &format!("ALTER DATABASE {database} CONNECTION LIMIT {limit}"));
    };
    limit(0);
    terminate(server, database);
    service.must_be_down("as many connections as it can take").await;
    limit(-1);
    service.must_come_back().await;
}

/// Somebody holds a lock on the table, as a careless migration does.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_takes_too_long() {
    let server = postgres::shared();
    let service = Service::start(server).await;
    let before = service.create().await;
    let holder = Holder::take(server, &service.database, "LOCK TABLE orders_state.entries").await;
    service.must_be_down("no read was answered within").await;
    holder.release().await;
    service.must_come_back().await;
    assert_eq!(service.get(before.field("location")).await.json(), before.json());
}

/// Somebody has the turn and does not give it back: no commit takes place, reads go on.
#[tokio::test(flavor = "multi_thread")]
async fn no_commit_has_its_turn() {
    let server = postgres::shared();
    let service = Service::start(server).await;
    let before = service.create().await;
    let lock = "SELECT pg_advisory_xact_lock(x'4F52445300000002'::bigint)";
    let holder = Holder::take(server, &service.database, lock).await;
    service.must_not_be_ready("no commit had its turn within").await;
    must_be_unavailable(&service.create().await, "without a turn");
    assert_eq!(service.get(before.field("location")).await.json(), before.json());
    holder.release().await;
    service.must_come_back().await;
}

/// A session that holds a lock until it is told to end.
struct Holder(tokio_postgres::Client);

impl Holder {
    async fn take(server: &Server, database: &str, lock: &str) -> Self {
        let url = server.url(database);
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
        Self(client)
    }

    async fn release(self) {
        self.0.batch_execute("ROLLBACK").await.unwrap();
    }
}

/// More calls than may be under way at once, on a server that answers none of them: each fails in time.
#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_may_be_under_way() {
    let server = postgres::shared();
    let database = server.database();
    let mut location: StoreLocation = server.url(&database).parse().unwrap();
    let StoreLocation::Postgres(inner) = &mut location else { panic!("{location}") };
    inner.timeout = Duration::from_secs(2);
    let store = store::open(&location).await.unwrap();
    let holder = Holder::take(server, &database, "LOCK TABLE orders_state.entries").await;
    let asked = Instant::now();
    let key = || vec![Key::try_from("k".to_owned()).unwrap()];
    let answers = join_all((0..1200).map(|_| store.get(key()))).await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(answers.iter().all(|answer| matches!(answer, Err(StoreError::Unavailable(_)))), "{answers:?}");
    holder.release().await;
    within("an answer", async { while store.get(key()).await.is_err() {} }).await;
    store.close().await;
}

/// However many ask meanwhile, a server that is away is tried by one connection at a time, ever more rarely.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_not_overrun() {
    let service = Arc::new(Service::start(postgres::shared()).await);
    service.must_work().await;
    service.proxy.network(Network::Refuses);
    let mut accepted = service.proxy.accepted();
    let (cut, before) = (Instant::now(), *accepted.borrow());
    service.proxy.cut();

    let (done, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients = (0..16).map(|_| {
        let (service, done, refused) = (Arc::clone(&service), Arc::clone(&done), Arc::clone(&refused));
        tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                must_be_unavailable(&service.create().await, "away");
                refused.fetch_add(1, Ordering::SeqCst);
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
    // Half of 50, 100, 200, 400, 800 and 1000 ms at least.
    assert!(took >= Duration::from_millis(1200), "seven attempts in {took:?}");
    let refused = refused.load(Ordering::SeqCst);
    assert!(refused > 100, "{refused} requests had their answer in {took:?}");
    service.proxy.network(Network::Good);
    service.must_come_back().await;
}

/// The primary dies, its standby takes over: the service finds it by the same URL. Nothing acknowledged is lost, for the
/// standby has had it before it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over() {
    let mut primary = Server::start(&["synchronous_standby_names=*"]);
    let standby = primary.standby();
    let hosts = [&standby, &primary].map(|server| server.folder().display().to_string().replace('/', "%2F"));
    let url = format!("postgres://postgres@{}/postgres", hosts.join(","));
    let timeout = format!("{}s", REQUEST_TIMEOUT.as_secs());
    let host = TestHost::start(&orders(), &["--store", &url, "--request-timeout", &timeout]).await;
    let created = host.connect().await.create().await.unwrap();
    assert_eq!(created.status(), 201, "{created:?}");
    primary.stop();
    assert_eq!(host.get("/ready").await.status(), 503);
    standby.sql("postgres", "SELECT pg_promote()");
    within("the service to find it", async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while host.get("/ready").await.status() != 200 {
            tick.tick().await;
        }
    })
    .await;
    let read = host.get(created.field("location")).await;
    assert_eq!(read.json(), created.json());
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
}
