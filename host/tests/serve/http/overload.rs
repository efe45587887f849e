//! What becomes of the connection of a request that is refused for want of room: it is kept if what follows on it
//! can only be the next request, and closed otherwise.

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    harness::{ORDER, TestHost, post, within},
    raw::{POST, exchange, order},
};

/// The largest body that is read only to keep the connection.
const DRAINED: usize = 64 * 1024;
/// What a smuggler wants to get answered: as a body, or after one.
const HIDDEN: &str = "GET /docs HTTP/1.1\r\nHost: test\r\n\r\n";
/// A request that is answered whatever the load, and is the last of its connection.
const LAST: &str = "GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// A host that has room for one request, and the connection of the one that takes it and never ends.
async fn full() -> (TestHost, TcpStream) {
    let host = TestHost::fixture("blocks", &["--max-concurrent", "1", "--request-timeout", "10m"]).await;
    let mut holder = host.raw().await;
    holder.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    host.log().wait_for("a request to hold the only place", |line| line["message"] == "waiting").await;
    (host, holder)
}

fn sized(body: &str) -> String {
    format!("{POST}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn chunked(chunks: &str) -> String {
    format!("{POST}Transfer-Encoding: chunked\r\n\r\n{chunks}")
}

#[tokio::test]
async fn a_refused_client_tries_again_on_the_same_connection() {
    let (host, holder) = full().await;
    let mut client = host.connect().await;
    for body in ["", ORDER, &"x".repeat(DRAINED)] {
        let refused = client.send(post("/", body.to_owned())).await.unwrap();
        assert!(refused.host_problem(503).contains("as many requests as it can take"));
        assert!(!refused.head.headers.contains_key("connection"), "{refused:?}");
    }

    drop(holder);
    let served = host.log().wait_for_count("it to be served", 2, |line| line["message"] == "waiting");
    let mut served = std::pin::pin!(served);
    within("room", async {
        loop {
            tokio::select! {
                () = &mut served => return,
                answer = client.send(post("/", ORDER)) => { answer.unwrap().host_problem(503); }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_follows_a_refused_body_is_the_next_request() {
    let (host, _holder) = full().await;
    let hidden = format!("{:x}\r\n{HIDDEN}\r\n", HIDDEN.len());
    for (name, refused) in [
        ("a body", order("")),
        ("a body that looks like a request", sized(HIDDEN)),
        ("a chunk that looks like one", chunked(&format!("{hidden}0\r\n\r\n"))),
        ("many chunks", chunked(&format!("{}0\r\n\r\n", hidden.repeat(20)))),
        ("a trailer", chunked(&format!("{hidden}0\r\nX-A: 1\r\n\r\n"))),
        ("no body", "GET / HTTP/1.1\r\nHost: test\r\n\r\n".to_owned()),
    ] {
        let answers = exchange(&host, format!("{refused}{refused}{LAST}")).await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [503, 503, 200], "{name}: {answers:?}");
        assert_eq!(answers[0].field("retry-after"), Some("1"), "{name}");
        assert_eq!(answers[0].field("connection"), None, "{name}");
    }
}

#[tokio::test]
async fn a_refused_body_that_cannot_be_drained_closes_the_connection() {
    let (host, _holder) = full().await;
    let large = HIDDEN.repeat(DRAINED / HIDDEN.len() + 1);
    let large_chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    for (name, refused) in [
        ("one that is large", sized(&large)),
        ("one that is large, in a chunk", chunked(&large_chunk)),
        ("one of which nothing can be right", chunked("x\r\n")),
        (
            "one that is framed twice",
            sized("0\r\n\r\n").replacen(POST, &format!("{POST}Transfer-Encoding: chunked\r\n"), 1),
        ),
        // What follows is taken for the rest of it, and is not enough.
        ("one that does not arrive", sized(&"x".repeat(1000)).replace('x', "")),
        ("one without end", chunked("1000\r\nx")),
    ] {
        let answers = exchange(&host, format!("{refused}{LAST}")).await;
        assert_eq!(answers.len(), 1, "{name}: {answers:?}");
        assert!(answers[0].last_problem(503).contains("as many requests"), "{name}");
    }
}

/// To ask for a body only to throw it away would cost more than the connection.
#[tokio::test]
async fn a_refused_client_that_asks_first_is_not_told_to_go_on() {
    let (host, _holder) = full().await;
    for body in ["", ORDER] {
        let head = format!("{POST}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n{body}", ORDER.len());
        let answers = exchange(&host, head).await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers[0].last_problem(503);
    }
}
