//! The client's address in the access log, with and without a load balancer that is trusted.

use http::Request;
use http_body_util::Full;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::harness::{TestHost, read_to_end};

/// The client's address in the access log, of a request with these fields.
async fn logged(host: &TestHost, fields: &[(&str, &str)]) -> Value {
    let mut request = Request::get("/api/v1/orders");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let response = host.connect().await.send(request.body(Full::default()).unwrap()).await.unwrap();
    host.log().access(response.field("x-request-id")).await["client"].clone()
}

/// The forms of the fields are in the unit tests of `http/peer.rs`.
#[tokio::test]
async fn only_a_trusted_load_balancer_says_who_the_client_is() {
    let trusting = TestHost::orders(&["--trusted-proxies", "127.0.0.0/8,10.0.0.0/16"]).await;
    let untrusting = TestHost::orders(&["--trusted-proxies", "10.0.0.0/16"]).await;
    let by_default = TestHost::orders(&[]).await;
    for (fields, client) in [
        (&[][..], "127.0.0.1"),
        (&[("x-forwarded-for", "203.0.113.1, 198.51.100.7, 10.0.1.2")], "198.51.100.7"),
        (&[("forwarded", "for=203.0.113.1, for=\"[2001:db8::7]:4711\";proto=https")], "2001:db8::7"),
        (&[("x-forwarded-for", "\u{e9}, 198.51.100.7, 10.0.1.2")], "198.51.100.7"),
        (&[("forwarded", "for=\u{e9}, for=198.51.100.7")], "198.51.100.7"),
        (&[("x-forwarded-for", "somebody")], "127.0.0.1"),
        (&[("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=203.0.113.1")], "127.0.0.1"),
    ] {
        assert_eq!(logged(&trusting, fields).await, client, "{fields:?}");
        assert_eq!(logged(&untrusting, fields).await, "127.0.0.1", "{fields:?}");
        assert_eq!(logged(&by_default, fields).await, "127.0.0.1", "{fields:?}");
    }
}

/// A client could otherwise stay unknown by sending the field that the load balancer does not set.
#[tokio::test]
async fn addresses_that_disagree_are_both_logged() {
    let host = TestHost::orders(&["--trusted-proxies", "127.0.0.1"]).await;
    for (forwarded, expected) in
        [("for=203.0.113.1", "198.51.100.7 or 203.0.113.1"), ("x", "198.51.100.7 or unknown")]
    {
        let request = Request::get("/api/v1/orders").header("x-forwarded-for", "198.51.100.7");
        let request = request.header("forwarded", forwarded).body(Full::default()).unwrap();
        let response = host.connect().await.send(request).await.unwrap();
        let access = host.log().access(response.field("x-request-id")).await;
        assert_eq!((&access["client"], &access["client_disputed"]), (&"127.0.0.1".into(), &expected.into()));
    }
}

#[tokio::test]
async fn a_connection_whose_request_cannot_be_read_is_logged_with_its_address() {
    let host = TestHost::orders(&["--trusted-proxies", "127.0.0.1"]).await;
    let mut socket = host.raw().await;
    socket.write_all(b"nonsense\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut socket).await.starts_with("HTTP/1.1 400 "));
    let line = host.log().wait_for("the record", |line| line["target"] == "access").await;
    assert_eq!((&line["client"], &line["method"]), (&"127.0.0.1".into(), &"-".into()));
}
