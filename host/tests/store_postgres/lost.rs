//! A commit whose answer is lost: the client learns that it is not known, and repeats the request with the same key. However
//! it went, there is one order.

use crate::{
    harness::{ORDER, TestHost, orders, post, within},
    postgres,
    proxy::{Loss, Proxy},
    service::{Service, must_be_unavailable},
};

/// A read changes nothing: it is made once more, and whoever asked notices nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_lost_on_the_way() {
    let service = Service::start(postgres::shared()).await;
    let created = service.create().await;
    let path = created.field("location");
    // The key under which it lies.
    let mark = path.rsplit('/').next().unwrap();
    for (losses, loss) in (1..).zip([Loss::Request, Loss::Answer]) {
        service.proxy.lose(mark, loss);
        assert_eq!(service.get(path).await.json(), created.json(), "{loss:?}");
        service.proxy.lost(losses).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_commit_is_lost() {
    let service = Service::start(postgres::shared()).await;
    service.proxy.lose("lost-answer", Loss::Answer);
    must_be_unavailable(&service.create_once("lost-answer", "one").await, "its answer was lost");
    service.proxy.lost(1).await;
    // It did take place, and nobody was told.
    assert_eq!(service.orders_of("lost-answer").await, 1);
    let repeated = service.create_once("lost-answer", "one").await;
    assert_eq!(repeated.status(), 201, "{repeated:?}");
    assert_eq!(repeated.field("idempotent-replayed"), "true");
    assert_eq!(service.orders_of("lost-answer").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_lost_before_it_arrives() {
    let service = Service::start(postgres::shared()).await;
    service.proxy.lose("lost-request", Loss::Request);
    must_be_unavailable(&service.create_once("lost-request", "one").await, "it was lost");
    service.proxy.lost(1).await;
    assert_eq!(service.orders_of("lost-request").await, 0);
    assert_eq!(service.create_once("lost-request", "one").await.status(), 201);
    assert_eq!(service.orders_of("lost-request").await, 1);
}

/// The worst of it: the client repeats the request and is answered, and only then does the first commit arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_arrives_after_it_was_repeated() {
    let service = Service::start(postgres::shared()).await;
    service.proxy.lose("late", Loss::Late);
    must_be_unavailable(&service.create_once("late", "one").await, "it is on its way");
    let repeated = service.create_once("late", "one").await;
    assert_eq!(repeated.status(), 201, "{repeated:?}");
    service.proxy.release().await;
    assert_eq!(service.orders_of("late").await, 1);
    let once_more = service.create_once("late", "one").await;
    assert_eq!(once_more.field("location"), repeated.field("location"));
}

/// Commits take turns. The turn of one whose last bytes are on their way does not last until they arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_keeps_nobody_from_committing() {
    let server = postgres::shared();
    let service = Service::start(server).await;
    let proxy = Proxy::start(&server.socket()).await;
    // Much more patient than the other copy.
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
    must_be_unavailable(&half.await.unwrap().unwrap(), "it never ended");
    assert_eq!(service.orders_of("half-sent").await, 1);
}
