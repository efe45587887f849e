//! Many clients that change one order on PostgreSQL at the same time.

use futures_util::future::join_all;
use http::Request;
use http_body_util::Full;

use crate::{postgres::Server, service::Service};

const WRITERS: usize = 16;
const ROUNDS: usize = 10;

/// "Changes without `If-Match` that lose a race are tried again for up to 5 s": all of them take effect.
#[tokio::test]
async fn writers_of_different_members_do_not_disturb_each_other() {
    let server = Server::start(&[]);
    let service = Service::start(&server).await;
    let order = service.create().await.field("location").to_owned();
    let writers = (0..WRITERS).map(async |index| {
        let mut client = service.host.connect().await;
        for round in 0..ROUNDS {
            let patch = Request::patch(&order)
                .header("content-type", "application/merge-patch+json")
                .body(Full::from(format!(r#"{{"metadata":{{"m{index}":"{round}"}}}}"#)))
                .unwrap();
            let changed = client.send(patch).await.expect("a response");
            assert_eq!(changed.status(), 200, "{changed:?}");
        }
    });
    join_all(writers).await;
    let found = service.get(&order).await.json();
    assert_eq!(found["metadata"].as_object().unwrap().len(), WRITERS);
    assert_eq!(found["version"], WRITERS * ROUNDS + 1, "every change is a version of its own");
}
