//! `/docs`: what a browser gets, short of a browser (`tests/contract/browser.py` is one).

use std::io::Read;

use flate2::read::GzDecoder;
use http::Request;
use http_body_util::Full;

use crate::harness::{Answer, TestHost};

const FILES: [(&str, &str); 8] = [
    ("/docs", "text/html; charset=utf-8"),
    ("/docs/", "text/html; charset=utf-8"),
    ("/docs/start.js", "text/javascript; charset=utf-8"),
    ("/docs/page.css", "text/css; charset=utf-8"),
    ("/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("/docs/swagger-ui.css", "text/css; charset=utf-8"),
    ("/docs/favicon.png", "image/png"),
    ("/docs/LICENSE", "text/plain; charset=utf-8"),
];

async fn ask(host: &TestHost, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    host.connect().await.send(request.body(Full::default()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn every_file_comes_packed_or_not_as_the_client_takes_it() {
    let host = TestHost::orders(&[]).await;
    for (path, media_type) in FILES {
        let plain = ask(&host, "GET", path, &[]).await;
        let packed = ask(&host, "GET", path, &[("accept-encoding", "br, gzip;q=0.5")]).await;
        for answer in [&plain, &packed] {
            assert_eq!(answer.status(), 200, "{path}");
            assert_eq!(answer.field("content-type"), media_type);
            assert_eq!(answer.field("vary"), "Accept-Encoding");
            assert_eq!(answer.field("cache-control"), "public, max-age=300");
            assert_eq!(answer.field("x-content-type-options"), "nosniff");
            assert_eq!(answer.field("referrer-policy"), "no-referrer");
            let policy = answer.field("content-security-policy");
            assert!(
                policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
                "{policy}"
            );
            assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        }
        assert!(!plain.head.headers.contains_key("content-encoding"));
        assert_eq!(packed.field("content-encoding"), "gzip");
        assert_ne!(plain.field("etag"), packed.field("etag"));
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain.body, "{path}");

        let head = ask(&host, "HEAD", path, &[]).await;
        assert_eq!((head.status(), head.body.len()), (200, 0));
        assert_eq!(head.field("content-length"), plain.body.len().to_string());
    }
}

#[tokio::test]
async fn gzip_is_for_those_who_take_it() {
    let host = TestHost::orders(&[]).await;
    let cases = [
        ("gzip", true),
        ("GZIP", true),
        ("*", true),
        ("deflate, gzip;q=1.0", true),
        ("*;q=0, gzip", true),
        ("", false),
        ("br", false),
        ("identity", false),
        ("gzip;q=0", false),
        ("gzip; q=0.000", false),
        ("*, gzip;q=0", false),
        ("gzipped", false),
    ];
    for (accepted, packed) in cases {
        let answer = ask(&host, "GET", "/docs", &[("accept-encoding", accepted)]).await;
        assert_eq!(answer.head.headers.contains_key("content-encoding"), packed, "{accepted}");
    }
}

#[tokio::test]
async fn who_has_it_already_is_told_so() {
    let host = TestHost::orders(&[]).await;
    for gzip in ["gzip", "identity"] {
        let first = ask(&host, "GET", "/docs/start.js", &[("accept-encoding", gzip)]).await;
        let tag = first.field("etag");
        for known in [tag.to_owned(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let fields = [("accept-encoding", gzip), ("if-none-match", &known)];
            let again = ask(&host, "GET", "/docs/start.js", &fields).await;
            assert_eq!((again.status(), again.body.len()), (304, 0));
            assert_eq!(again.field("etag"), tag);
            assert_eq!(again.field("vary"), "Accept-Encoding");
        }
        let fields = [("accept-encoding", gzip), ("if-none-match", "\"other\"")];
        assert_eq!(ask(&host, "GET", "/docs/start.js", &fields).await.status(), 200);
    }
}

#[tokio::test]
async fn what_there_is_not_and_what_is_not_done() {
    let host = TestHost::orders(&[]).await;
    for path in
        ["/docs/nothing", "/docs/swagger-ui-bundle.js.map", "/docs/../health", "/docs//", "/docs/start.js/"]
    {
        let answer = ask(&host, "GET", path, &[]).await;
        assert_eq!(answer.host_problem(404), "There is no page at this path.");
        assert_eq!(answer.json()["instance"], path);
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = ask(&host, method, "/docs", &[]).await;
        answer.host_problem(405);
        assert_eq!(answer.field("allow"), "GET, HEAD");
    }
    // What only begins like it is the component's.
    assert_eq!(ask(&host, "GET", "/docstring", &[]).await.json()["type"], "/problems/no-such-path");
}

/// The page needs nothing but what is served beside it, and what the component says of itself.
#[tokio::test]
async fn the_page_names_only_what_is_served_here() {
    let host = TestHost::orders(&[]).await;
    let page = String::from_utf8(ask(&host, "GET", "/docs", &[]).await.body.to_vec()).unwrap();
    let mut named = 0;
    for attribute in page.split(['"']).filter(|part| part.starts_with('/')) {
        named += 1;
        if attribute != "/openapi.json" {
            assert_eq!(ask(&host, "GET", attribute, &[]).await.status(), 200, "{attribute}");
        }
    }
    assert!(named >= 6, "{page}");
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("//"), "{page}");
}
