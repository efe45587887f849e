//! Instance reuse: never by default, and with `--instance-reuse` only for an instance in a good state.

use http::Request;
use http_body_util::Full;

use crate::harness::{Client, TestHost};

/// Returns the component's count: how many requests its instance has served, including this one.
async fn count(client: &mut Client, path: &str) -> u32 {
    let response = client.get(path).await;
    assert_eq!(response.status(), 200, "{path}");
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    let count = text.strip_prefix("request ").and_then(|text| text.strip_suffix(" of this instance"));
    count.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

async fn marks(client: &mut Client) -> String {
    String::from_utf8(client.get("/marks").await.body.to_vec()).unwrap()
}

#[tokio::test]
async fn nothing_in_memory_outlives_a_request_by_default() {
    let host = TestHost::fixture("remembers", &[]).await;
    let mut client = host.connect().await;
    for _ in 0..20 {
        for path in ["/mark", "/grow"] {
            assert_eq!(count(&mut client, path).await, 1);
            assert_eq!(marks(&mut client).await, "0 marks", "after {path}");
        }
    }
}

/// Proves that the previous test would detect memory that outlives a request.
#[tokio::test]
async fn the_memory_of_a_reused_instance_is_visible() {
    let host = TestHost::fixture("remembers", &["--instance-reuse", "2"]).await;
    let mut client = host.connect().await;
    assert_eq!(count(&mut client, "/mark").await, 1);
    assert_eq!(marks(&mut client).await, "1024 marks");
}

#[tokio::test]
async fn an_instance_serves_as_many_requests_as_allowed() {
    let host = TestHost::fixture("remembers", &["--instance-reuse", "3"]).await;
    let mut counts = Vec::new();
    // The client uses one connection, then several: an instance belongs to the module, not to a client.
    let mut client = host.connect().await;
    for _ in 0..4 {
        counts.push(count(&mut client, "/").await);
    }
    for _ in 0..3 {
        counts.push(count(&mut host.connect().await, "/").await);
    }
    assert_eq!(counts, [1, 2, 3, 1, 2, 3, 1]);
}

#[tokio::test]
async fn an_instance_in_a_changed_state_is_discarded() {
    let host = TestHost::fixture("remembers", &["--instance-reuse", "1000", "--max-cpu", "500ms"]).await;
    let mut client = host.connect().await;
    for (path, status) in [("/grow", 200), ("/keep", 200), ("/trap", 500), ("/spin", 504), ("/grow", 200)] {
        // The instance is reused at first.
        let before = count(&mut client, "/").await;
        assert_eq!(count(&mut client, "/").await, before + 1, "before {path}");
        assert_eq!(client.get(path).await.status(), status, "{path}");
        assert_eq!(count(&mut client, "/").await, 1, "after {path}");
    }
}

#[tokio::test]
async fn an_instance_is_never_used_by_two_requests_at_once() {
    let host = TestHost::fixture("remembers", &["--instance-reuse", "50"]).await;
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = host.connect().await;
        clients.push(tokio::spawn(async move {
            let mut first = 0;
            for _ in 0..100 {
                let count = count(&mut client, "/").await;
                assert!((1..=50).contains(&count), "{count}");
                first += u32::from(count == 1);
            }
            first
        }));
    }
    let mut instances = 0;
    for client in clients {
        instances += client.await.unwrap();
    }
    // Each instance has one first request, and serves 50 requests unless it is idle at the end. At most as many are
    // idle as there are clients.
    assert!((32..=32 + 16).contains(&instances), "{instances} instances for 1600 requests");
}

#[tokio::test]
async fn output_of_a_reused_instance_has_the_id_of_its_request() {
    let host = TestHost::fixture("remembers", &["--instance-reuse", "10"]).await;
    let mut client = host.connect().await;
    for number in 1..=3 {
        let id = format!("printing-{number}");
        let request = Request::get("/print").header("x-request-id", &id).body(Full::default()).unwrap();
        assert_eq!(client.send(request).await.unwrap().status(), 200);
        host.log().access(&id).await;
        let printed: Vec<_> = host
            .log()
            .lines()
            .into_iter()
            .filter(|line| line["target"] == "guest" && line["request_id"] == id)
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(printed, [format!("line {number}")]);
    }
}

/// There are more threads than processors, each with its own idle instances.
#[tokio::test]
async fn an_idle_instance_of_another_thread_is_used_before_a_new_one_is_created() {
    let host = TestHost::fixture("remembers", &["--instance-reuse", "1000", "--threads", "5"]).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(host.connect().await);
    }
    let mut before = 0;
    for _ in 0..4 {
        for client in &mut clients {
            before += 1;
            assert_eq!(count(client, "/").await, before);
        }
    }
}

#[tokio::test]
async fn orders_work_the_same_with_reused_instances() {
    let host = TestHost::orders(&["--instance-reuse", "100"]).await;
    let mut client = host.connect().await;
    for _ in 0..150 {
        let made = client.create().await.unwrap();
        assert_eq!(made.status(), 201);
        let read = client.get(made.field("location")).await;
        assert_eq!((read.status(), read.body), (200, made.body));
    }
}
