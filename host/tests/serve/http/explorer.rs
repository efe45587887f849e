//! `/docs` as an HTTP client sees it. `tests/contract/browser.py` tests it in a browser.

use std::io::Read;

use flate2::read::GzDecoder;
use http::Request;
use http_body_util::Full;

use crate::harness::{TestHost, TestResponse};

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

async fn send(host: &TestHost, method: &str, path: &str, fields: &[(&str, &str)]) -> TestResponse {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    host.connect().await.send(request.body(Full::default()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn every_file_is_served_plain_and_compressed() {
    let host = TestHost::orders(&[]).await;
    for (path, media_type) in FILES {
        let plain = send(&host, "GET", path, &[]).await;
        let packed = send(&host, "GET", path, &[("accept-encoding", "br, gzip;q=0.5")]).await;
        for response in [&plain, &packed] {
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(response.field("content-type"), media_type);
            assert_eq!(response.field("vary"), "Accept-Encoding");
            assert_eq!(response.field("cache-control"), "public, max-age=300");
            assert_eq!(response.field("x-content-type-options"), "nosniff");
            assert_eq!(response.field("referrer-policy"), "no-referrer");
            let policy = response.field("content-security-policy");
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

        let head = send(&host, "HEAD", path, &[]).await;
        assert_eq!((head.status(), head.body.len()), (200, 0));
        assert_eq!(head.field("content-length"), plain.body.len().to_string());
    }
}

#[tokio::test]
async fn only_clients_that_accept_gzip_get_it() {
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
        let response = send(&host, "GET", "/docs", &[("accept-encoding", accepted)]).await;
        assert_eq!(response.head.headers.contains_key("content-encoding"), packed, "{accepted}");
    }
}

#[tokio::test]
async fn a_cached_file_is_revalidated_with_304() {
    let host = TestHost::orders(&[]).await;
    for gzip in ["gzip", "identity"] {
        let first = send(&host, "GET", "/docs/start.js", &[("accept-encoding", gzip)]).await;
        let tag = first.field("etag");
        for known in [tag.to_owned(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let fields = [("accept-encoding", gzip), ("if-none-match", &known)];
            let again = send(&host, "GET", "/docs/start.js", &fields).await;
            assert_eq!((again.status(), again.body.len()), (304, 0));
            assert_eq!(again.field("etag"), tag);
            assert_eq!(again.field("vary"), "Accept-Encoding");
        }
        let fields = [("accept-encoding", gzip), ("if-none-match", "\"other\"")];
        assert_eq!(send(&host, "GET", "/docs/start.js", &fields).await.status(), 200);
    }
}

#[tokio::test]
async fn unknown_paths_get_404_and_other_methods_405() {
    let host = TestHost::orders(&[]).await;
    for path in
        ["/docs/nothing", "/docs/swagger-ui-bundle.js.map", "/docs/../health", "/docs//", "/docs/start.js/"]
    {
        let response = send(&host, "GET", path, &[]).await;
        assert_eq!(
            response.host_problem(404),
            "The API explorer has no file at this path: its start page is /docs."
        );
        assert_eq!(response.json()["instance"], path);
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let response = send(&host, method, "/docs", &[]).await;
        response.host_problem(405);
        assert_eq!(response.field("allow"), "GET, HEAD");
    }
    // A path that only starts with the same letters belongs to the component.
    assert_eq!(send(&host, "GET", "/docstring", &[]).await.json()["type"], "/problems/no-such-path");
}

/// The page needs only its own files and the component's API description.
#[tokio::test]
async fn the_page_refers_only_to_files_of_this_service() {
    let host = TestHost::orders(&[]).await;
    let page = String::from_utf8(send(&host, "GET", "/docs", &[]).await.body.to_vec()).unwrap();
    let mut count = 0;
    for attribute in page.split(['"']).filter(|part| part.starts_with('/')) {
        count += 1;
        if attribute != "/openapi.json" {
            assert_eq!(send(&host, "GET", attribute, &[]).await.status(), 200, "{attribute}");
        }
    }
    assert!(count >= 6, "{page}");
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("//"), "{page}");
}
