//! Many concurrent clients on a store on disk: nothing happens twice, and nothing is lost.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::Full;
use serde_json::Value;
use tokio::sync::watch;

use crate::harness::{Client, ORDER, TestHost, TestResponse, post, within};

/// The number of clients that do the same at the same time.
const CLIENTS: usize = 64;

/// Starts a host with its own SQLite store.
async fn host(folder: &tempfile::TempDir) -> TestHost {
    TestHost::orders(&["--store", &format!("sqlite:{}", folder.path().join("orders.db").display())]).await
}

async fn clients(host: &TestHost) -> Vec<Client> {
    join_all((0..CLIENTS).map(|_| host.connect())).await
}

/// Sends one request from each client, all at once.
async fn all_at_once(
    clients: &mut [Client],
    request: impl Fn(usize) -> Request<Full<Bytes>>,
) -> Vec<TestResponse> {
    let sent = clients.iter_mut().enumerate().map(|(index, client)| client.send(request(index)));
    join_all(sent).await.into_iter().map(|response| response.expect("a response")).collect()
}

fn act(order: &str, action: &str) -> Request<Full<Bytes>> {
    Request::post(format!("{order}/{action}")).body(Full::default()).unwrap()
}

async fn events(client: &mut Client, order: &str) -> Vec<String> {
    let page = client.get(&format!("{order}/events?limit=100")).await.json();
    let items = page["items"].as_array().unwrap().iter();
    items.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// "Two racing creates with one key give one order and two equal responses."
#[tokio::test]
async fn creates_with_one_key_make_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder).await;
    let mut clients = clients(&host).await;
    for round in 0..5 {
        let responses = all_at_once(&mut clients, |_| {
            let mut request = post("/api/v1/orders", ORDER);
            request.headers_mut().insert("idempotency-key", format!("\"{round}\"").parse().unwrap());
            request
        })
        .await;
        let (first, rest) = responses.split_first().unwrap();
        for response in rest {
            assert_eq!((response.status(), &response.body), (201, &first.body));
            assert_eq!(response.field("location"), first.field("location"));
        }
        let replayed =
            responses.iter().filter(|response| response.head.headers.contains_key("idempotent-replayed"));
        assert_eq!(replayed.count(), CLIENTS - 1, "exactly one create is not a replay");
        let listed = clients[0].get("/api/v1/orders?limit=100").await.json();
        assert_eq!(listed["items"].as_array().unwrap().len(), round + 1);
    }
}

/// "64 transitions on one order give exactly one winner a step": later requests repeat the result.
#[tokio::test]
async fn concurrent_transitions_take_effect_once() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder).await;
    let mut clients = clients(&host).await;
    let order = clients[0].create().await.unwrap().field("location").to_owned();
    for (version, action) in (2..).zip(["confirm", "ship", "deliver"]) {
        for response in all_at_once(&mut clients, |_| act(&order, action)).await {
            assert_eq!(
                (response.status(), response.field("etag")),
                (200, format!("\"{version}-2\"").as_str())
            );
        }
    }
    assert_eq!(events(&mut clients[0], &order).await, ["created", "confirmed", "shipped", "delivered"]);
}

/// "Changes without `If-Match` that lose a race are tried again for up to 5 s": all of them take effect.
#[tokio::test]
async fn writers_of_different_members_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder).await;
    let mut clients = clients(&host).await;
    let order = clients[0].create().await.unwrap().field("location").to_owned();
    clients.truncate(16);
    for round in 0..10 {
        let responses = all_at_once(&mut clients, |index| set_member(&order, index, round)).await;
        for response in &responses {
            assert_eq!(response.status(), 200, "{response:?}");
        }
    }
    let found = clients[0].get(&order).await.json();
    let metadata = found["metadata"].as_object().unwrap();
    assert!(metadata.len() == 16 && metadata.values().all(|value| value == "9"), "{found}");
    assert_eq!(found["version"], 161, "every change is a version of its own");
}

/// A patch that sets one member of the metadata.
fn set_member(order: &str, index: usize, value: usize) -> Request<Full<Bytes>> {
    Request::patch(order)
        .header("content-type", "application/merge-patch+json")
        .body(Full::from(format!(r#"{{"metadata":{{"m{index}":"{value}"}}}}"#)))
        .unwrap()
}

/// Orders of one client are listed in the sequence in which they were acknowledged, also within a millisecond.
#[tokio::test]
async fn orders_that_follow_each_other_sort_like_that() {
    let host = TestHost::orders(&["--store", "memory:"]).await;
    let mut client = host.connect().await;
    let mut last = String::new();
    for _ in 0..1000 {
        let id = client.create().await.unwrap().json()["id"].as_str().unwrap().to_owned();
        assert!(id > last, "{id} was created after {last}");
        last = id;
    }
}

/// All clients send the version that they have read: one wins, and the others get 412.
#[tokio::test]
async fn one_of_many_changes_to_a_version_wins() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder).await;
    let mut clients = clients(&host).await;
    let order = clients[0].create().await.unwrap().field("location").to_owned();
    let responses = all_at_once(&mut clients, |index| {
        Request::patch(&order)
            .header("content-type", "application/merge-patch+json")
            .header("if-match", "\"1\"")
            .body(Full::from(format!(r#"{{"notes":"{index}"}}"#)))
            .unwrap()
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = responses.iter().partition(|response| response.status() == 200);
    assert_eq!((won.len(), lost.len()), (1, CLIENTS - 1));
    assert!(lost.iter().all(|response| response.status() == 412));
    assert_eq!(clients[0].get(&order).await.json(), won[0].json());
}

/// Of two transitions that exclude each other, exactly one takes effect.
#[tokio::test]
async fn of_two_exclusive_transitions_one_takes_effect() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder).await;
    let mut clients = clients(&host).await;
    for _ in 0..5 {
        let order = clients[0].create().await.unwrap().field("location").to_owned();
        assert_eq!(clients[0].send(act(&order, "confirm")).await.unwrap().status(), 200);
        let actions = ["ship", "cancel"];
        let responses = all_at_once(&mut clients, |index| act(&order, actions[index % 2])).await;
        let end = clients[0].get(&order).await.json()["status"].as_str().unwrap().to_owned();
        let taken = if end == "shipped" { 0 } else { 1 };
        for (index, response) in responses.iter().enumerate() {
            assert_eq!(response.status(), if index % 2 == taken { 200 } else { 409 }, "{response:?}");
        }
        let events = events(&mut clients[0], &order).await;
        assert_eq!(events.len(), 3, "{events:?}");
    }
}

/// "A list walked by cursor while others create and cancel repeats no order and misses none that existed before."
#[tokio::test]
async fn a_list_walk_is_not_disturbed_by_writes() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder).await;
    let mut walker = host.connect().await;
    let mut existing = BTreeSet::new();
    for _ in 0..150 {
        existing.insert(walker.create().await.unwrap().json()["id"].as_str().unwrap().to_owned());
    }
    let (walking, walk) = watch::channel(true);
    let mut others = Vec::new();
    for _ in 0..8 {
        let (mut client, walk) = (host.connect().await, walk.clone());
        others.push(tokio::spawn(async move {
            let mut made = 0;
            while *walk.borrow() {
                let order = client.create().await.unwrap().field("location").to_owned();
                assert_eq!(client.send(act(&order, "cancel")).await.unwrap().status(), 200);
                made += 1;
            }
            made
        }));
    }
    for sort in ["-created_at", "created_at"] {
        let (mut listed, mut path) = (BTreeSet::new(), format!("/api/v1/orders?limit=7&sort={sort}"));
        while !existing.is_subset(&listed) {
            let page: Value = walker.get(&path).await.json();
            for order in page["items"].as_array().unwrap() {
                let id = order["id"].as_str().unwrap().to_owned();
                assert!(listed.insert(id), "listed twice: {order}");
            }
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("/api/v1/orders?limit=7&sort={sort}&cursor={cursor}"),
                None => break,
            }
        }
        let missed: Vec<_> = existing.difference(&listed).collect();
        assert!(missed.is_empty(), "{sort} missed {missed:?}");
    }
    walking.send_replace(false);
    let mut made = 0;
    for other in others {
        made += within("the other clients to end", other).await.unwrap();
    }
    assert!(made > 0, "no client wrote during the walk");
}
