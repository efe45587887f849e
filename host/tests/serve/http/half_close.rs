//! Clients that close their sending half after a request, and still read the response; and clients that leave altogether, which
//! look the same until the host sends them something.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    harness::{TestHost, list_all, read_to_end, within},
    raw::{order, read_responses},
    wire::{QUICK, Wire, get, request},
};

const INTERIM: &str = "HTTP/1.1 100 Continue\r\n\r\n";
/// Far longer than a test waits for anything.
const LONG: [&str; 2] = ["--request-timeout", "10m"];

/// Sends `bytes`, and closes the sending half.
async fn send_all(host: &TestHost, bytes: &str) -> TcpStream {
    let mut socket = host.raw().await;
    socket.write_all(bytes.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    socket
}

/// The end of a request in the access log.
async fn end_of(host: &TestHost, id: &str) -> serde_json::Value {
    host.log().access(id).await["end"].clone()
}

#[tokio::test]
async fn a_client_that_sends_no_more_gets_its_response() {
    const CLIENTS: usize = 40;
    let host = TestHost::orders(&[]).await;
    for number in 0..CLIENTS {
        let id = format!("create-{number}");
        let mut socket = send_all(&host, &order(&format!("X-Request-Id: {id}\r\n"))).await;
        let responses = read_responses(&mut socket).await;
        let last = responses.last().unwrap_or_else(|| panic!("no response to {id}"));
        // On a busy machine an interim response may come before.
        assert_eq!(last.status, 201, "{responses:?}");
        assert_eq!(end_of(&host, &id).await, "whole");
    }
    assert_eq!(list_all(&mut host.connect().await).await.len(), CLIENTS);
}

#[tokio::test]
async fn pipelined_requests_of_a_client_that_sends_no_more_are_all_answered() {
    let host = TestHost::orders(&[]).await;
    let requests = [order(""), get("/nowhere"), order(""), get("/health")].concat();
    let mut socket = send_all(&host, &requests).await;
    let responses = read_responses(&mut socket).await;
    let statuses: Vec<_> =
        responses.iter().map(|response| response.status).filter(|code| *code >= 200).collect();
    assert_eq!(statuses, [201, 404, 201, 200]);
    assert_eq!(list_all(&mut host.connect().await).await.len(), 2);
}

#[tokio::test]
async fn a_client_that_sends_no_more_is_asked_once_whether_it_is_still_there() {
    let host = TestHost::fixture("frames", &LONG).await;
    let slow = "/?wait=3000&length=2&head&write=2&finish";
    let quick = request("GET", QUICK, "X-Request-Id: last\r\n");
    let mut socket = send_all(&host, &format!("{}{quick}", get(slow))).await;
    let text = read_to_end(&mut socket).await;
    assert!(text.starts_with(&format!("{INTERIM}HTTP/1.1 200 ")), "{text}");
    // The quick one needs no question, but on a busy machine.
    assert!(matches!(text.matches(INTERIM).count(), 1 | 2), "{text}");
    assert_eq!(text.matches("HTTP/1.1 200 ").count(), 2, "{text}");
    assert_eq!(end_of(&host, "last").await, "whole");
}

#[tokio::test]
async fn a_client_that_may_send_more_is_not_asked() {
    let host = TestHost::fixture("frames", &LONG).await;
    let slow = request("GET", "/?wait=3000&length=2&head&write=2&finish", "Connection: close\r\n");
    let mut socket = host.raw().await;
    socket.write_all(slow.as_bytes()).await.unwrap();
    let text = read_to_end(&mut socket).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
}

/// Nothing but the rest of its response can be sent then.
#[tokio::test]
async fn a_client_that_sends_no_more_gets_the_rest_of_its_response() {
    let host = TestHost::fixture("frames", &LONG).await;
    let mut wire = Wire::get(&host, "/?length=5&head&write=2&wait=2500&write=3&finish").await;
    let head = wire.head().await.expect("a head");
    wire.half_close().await;
    assert_eq!(wire.rest(&head).await.body, b"xxxxx");
}

/// HTTP/1.0 has no interim responses, so its clients cannot be asked.
#[tokio::test]
async fn a_client_of_http_1_0_that_sends_no_more_has_left_after_a_second() {
    let host = TestHost::fixture("frames", &LONG).await;
    let old = |target: &str, id: &str| {
        request("GET", target, &format!("X-Request-Id: {id}\r\n")).replacen("HTTP/1.1", "HTTP/1.0", 1)
    };
    let mut socket = send_all(&host, &old("/?hang", "slow")).await;
    assert_eq!(read_to_end(&mut socket).await, "");
    assert_ne!(end_of(&host, "slow").await, "whole");
    let mut socket = send_all(&host, &old(QUICK, "quick")).await;
    assert!(read_to_end(&mut socket).await.starts_with("HTTP/1.0 200 "));
}

/// Waits until the permit of a client that has left is free.
async fn until_served(host: &TestHost) {
    let served = async {
        while host.get(QUICK).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the permit of a client that has left", served).await;
}

/// The only permit is free long before the end of the request's time.
async fn check_that_leaving_frees_the_permit(target: &str, leave: fn(Wire)) {
    let host = TestHost::fixture("frames", &[&LONG[..], &["--max-concurrent", "1"]].concat()).await;
    let wire = Wire::get(&host, target).await;
    let here = |line: &serde_json::Value| line["message"] == "here";
    host.log().wait_for("the call", here).await;
    leave(wire);
    until_served(&host).await;
}

#[tokio::test]
async fn a_client_that_has_left_is_noticed_by_its_reply() {
    check_that_leaving_frees_the_permit("/?print=here&hang", drop).await;
}

#[tokio::test]
async fn a_client_that_resets_its_connection_is_noticed() {
    check_that_leaving_frees_the_permit("/?print=here&hang", Wire::reset).await;
    check_that_leaving_frees_the_permit("/?length=9&head&write=5&print=here&hang", Wire::reset).await;
}

/// It has closed its half long before it leaves.
#[tokio::test]
async fn a_client_that_leaves_after_it_was_asked_is_noticed() {
    let host = TestHost::fixture("frames", &[&LONG[..], &["--max-concurrent", "1"]].concat()).await;
    let mut wire = Wire::get(&host, "/?hang").await;
    wire.half_close().await;
    assert_eq!(wire.head().await.expect("a question").status, 100);
    assert_eq!(host.get("/").await.status(), 503, "the permit is taken");
    wire.reset();
    until_served(&host).await;
}
