//! Lost messages: if the reply to a commit is lost, the client gets 503 because the outcome is unknown, and repeats
//! the request with the same key. In every case there is exactly one order.

use crate::{
    harness::{ORDER, TestHost, orders, post, within},
    postgres,
    proxy::{Loss, Proxy},
    service::{Service, must_be_unavailable},
};

/// A read has no effect, so the host repeats it, and the client notices nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_read_is_repeated() {
    let service = Service::start(postgres::shared()).await;
    let created = service.create().await;
    let path = created.field("location");
    // The id, which is part of the key in the store.
    let marker = path.rsplit('/').next().unwrap();
    for (losses, loss) in (1..).zip([Loss::Request, Loss::Reply]) {
        service.proxy.lose(marker, loss);
        assert_eq!(service.get(path).await.json(), created.json(), "{loss:?}");
        service.proxy.lost(losses).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_a_commit_is_replayed_on_retry() {
    let service = Service::start(postgres::shared()).await;
    service.proxy.lose("lost-reply", Loss::Reply);
    must_be_unavailable(&service.create_once("lost-reply", "one").await, "its reply is lost");
    service.proxy.lost(1).await;
    // The commit took effect, but its outcome is unknown to the client.
    assert_eq!(service.orders_of("lost-reply").await, 1);
    let repeated = service.create_once("lost-reply", "one").await;
    assert_eq!(repeated.status(), 201, "{repeated:?}");
    assert_eq!(repeated.field("idempotent-replayed"), "true");
    assert_eq!(service.orders_of("lost-reply").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_lost_before_the_server_succeeds_on_retry() {
    let service = Service::start(postgres::shared()).await;
    service.proxy.lose("lost-request", Loss::Request);
    must_be_unavailable(&service.create_once("lost-request", "one").await, "it is lost");
    service.proxy.lost(1).await;
    assert_eq!(service.orders_of("lost-request").await, 0);
    assert_eq!(service.create_once("lost-request", "one").await.status(), 201);
    assert_eq!(service.orders_of("lost-request").await, 1);
}

/// The worst case: the retry gets its response before the first commit arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_arrives_after_its_retry_has_no_effect() {
    let service = Service::start(postgres::shared()).await;
    service.proxy.lose("late", Loss::Late);
    must_be_unavailable(&service.create_once("late", "one").await, "it is delayed");
    let repeated = service.create_once("late", "one").await;
    assert_eq!(repeated.status(), 201, "{repeated:?}");
    service.proxy.release().await;
    assert_eq!(service.orders_of("late").await, 1);
    let once_more = service.create_once("late", "one").await;
    assert_eq!(once_more.field("location"), repeated.field("location"));
}

/// Commits run one after another. A commit whose last bytes are delayed does not hold the lock until they arrive.
#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_call_does_not_block_other_commits() {
    let server = postgres::shared();
    let service = Service::start(server).await;
    let proxy = Proxy::start(&server.socket()).await;
    // Its timeout is much longer than that of the other copy.
    let url = proxy.url(&service.database);
    let patient = TestHost::start(&orders(), &["--store", &url, "--request-timeout", "30s"]).await;
    let mut client = patient.connect().await;
    proxy.lose("half-sent", Loss::End);
    let half =
        tokio::spawn(
            async move { client.send(post("/api/v1/orders", ORDER.replace("ada", "half-sent"))).await },
        );
    within("the loss", proxy.lost(1)).await;
    for _ in 0..3 {
        service.must_work().await;
    }
    assert!(!half.is_finished());
    must_be_unavailable(&half.await.unwrap().unwrap(), "its call never ends");
    assert_eq!(service.orders_of("half-sent").await, 1);
}
