//! What happens to the connection of a request that is rejected because of overload. It stays open if what follows on it
//! can only be the next request, and is closed otherwise.

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    harness::{ORDER, TestHost, post, within},
    raw::{POST, exchange, order},
};

/// The largest body that is drained to keep the connection open.
const DRAINED: usize = 64 * 1024;
/// The request that an attacker would smuggle, in a body or after one.
const HIDDEN: &str = "GET /docs HTTP/1.1\r\nHost: test\r\n\r\n";
/// A request that is served under any load. It is the last on its connection.
const LAST: &str = "GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// A host that admits one request at a time, and the connection of a request that never ends and occupies the permit.
async fn overloaded_host() -> (TestHost, TcpStream) {
    let host = TestHost::fixture("blocks", &["--max-concurrent", "1", "--request-timeout", "10m"]).await;
    let mut occupant = host.raw().await;
    occupant.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    host.log().wait_for("a request to occupy the only permit", |line| line["message"] == "waiting").await;
    (host, occupant)
}

fn sized(body: &str) -> String {
    format!("{POST}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn chunked(chunks: &str) -> String {
    format!("{POST}Transfer-Encoding: chunked\r\n\r\n{chunks}")
}

#[tokio::test]
async fn a_rejected_client_can_retry_on_the_same_connection() {
    let (host, occupant) = overloaded_host().await;
    let mut client = host.connect().await;
    for body in ["", ORDER, &"x".repeat(DRAINED)] {
        let rejected = client.send(post("/", body.to_owned())).await.unwrap();
        assert!(rejected.host_problem(503).contains("the limit of requests in flight"));
        assert!(!rejected.head.headers.contains_key("connection"), "{rejected:?}");
    }

    drop(occupant);
    let served = host.log().wait_for_count("the retry to be served", 2, |line| line["message"] == "waiting");
    let mut served = std::pin::pin!(served);
    within("a free permit", async {
        loop {
            tokio::select! {
                () = &mut served => return,
                response = client.send(post("/", ORDER)) => { response.unwrap().host_problem(503); }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_follows_a_rejected_body_is_the_next_request() {
    let (host, _occupant) = overloaded_host().await;
    let hidden = format!("{:x}\r\n{HIDDEN}\r\n", HIDDEN.len());
    for (name, rejected) in [
        ("a body", order("")),
        ("a body that looks like a request", sized(HIDDEN)),
        ("a chunk that looks like a request", chunked(&format!("{hidden}0\r\n\r\n"))),
        ("many chunks", chunked(&format!("{}0\r\n\r\n", hidden.repeat(20)))),
        ("no body", "GET / HTTP/1.1\r\nHost: test\r\n\r\n".to_owned()),
    ] {
        let responses = exchange(&host, format!("{rejected}{rejected}{LAST}")).await;
        let statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
        assert_eq!(statuses, [503, 503, 200], "{name}: {responses:?}");
        assert_eq!(responses[0].field("retry-after"), Some("1"), "{name}");
        assert_eq!(responses[0].field("connection"), None, "{name}");
    }
}

#[tokio::test]
async fn a_rejected_body_that_cannot_be_drained_closes_the_connection() {
    let (host, _occupant) = overloaded_host().await;
    let large = HIDDEN.repeat(DRAINED / HIDDEN.len() + 1);
    let large_chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    for (name, rejected) in [
        ("a large body", sized(&large)),
        ("a large body in one chunk", chunked(&large_chunk)),
        ("a body without a valid chunk", chunked("x\r\n")),
        ("a trailer section", chunked("0\r\nX-A: 1\r\n\r\n")),
        ("a trailer section without a field", chunked("0\r\n\n\r\n\r\n")),
        (
            "a body that is framed twice",
            sized("0\r\n\r\n").replacen(POST, &format!("{POST}Transfer-Encoding: chunked\r\n"), 1),
        ),
        // What follows is read as the rest of the body, and is too short.
        ("a body that does not arrive", sized(&"x".repeat(1000)).replace('x', "")),
        ("a body that does not end", chunked("1000\r\nx")),
    ] {
        let responses = exchange(&host, format!("{rejected}{LAST}")).await;
        assert_eq!(responses.len(), 1, "{name}: {responses:?}");
        assert!(responses[0].last_problem(503).contains("the limit of requests in flight"), "{name}");
    }
}

/// Requesting a body only to discard it would cost more than a new connection.
#[tokio::test]
async fn a_rejected_client_that_expects_100_does_not_get_it() {
    let (host, _occupant) = overloaded_host().await;
    for body in ["", ORDER] {
        let head = format!("{POST}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n{body}", ORDER.len());
        let responses = exchange(&host, head).await;
        assert_eq!(responses.len(), 1, "{responses:?}");
        responses[0].last_problem(503);
    }
}
