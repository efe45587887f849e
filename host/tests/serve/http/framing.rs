//! The bounds of a chunked body's framing, and the fields that are for one connection only.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{harness::TestHost, raw::exchange};

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: test\r\n\r\n";
const LAST: &str = "GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
/// The default of `--max-body`.
const MAX_BODY: usize = 1 << 20;

fn chunked(chunks: &str) -> String {
    format!("POST /first HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
}

/// `length` bytes of data in chunks of `size` bytes, each with `extension`.
fn chunks(length: usize, size: usize, extension: &str) -> String {
    let chunk = format!("{size:x}{extension}\r\n{}\r\n", "x".repeat(size));
    chunk.repeat(length / size) + "0\r\n\r\n"
}

/// Far less than it takes to read such a body to its end.
const QUICK: Duration = Duration::from_secs(5);

#[tokio::test]
async fn small_chunks_and_the_requests_after_them_are_handled() {
    let host = TestHost::fixture("reports", &[]).await;
    // More requests than hyper reads at once.
    let after = NEXT.repeat(1_600);
    for size in [16, 100, 60_000, MAX_BODY] {
        let body = chunked(&chunks(MAX_BODY, size, ""));
        let responses = exchange(&host, format!("{body}{after}{LAST}")).await;
        let handled = responses.iter().filter(|response| response.status == 200).count();
        assert_eq!(handled, 1_602, "chunks of {size} bytes: {:?}", responses.first());
        let length = format!("\nlength {}\n", MAX_BODY / size * size);
        assert!(responses[0].body.contains(&length), "chunks of {size} bytes: {:?}", responses[0]);
    }
}

/// hyper accepts extensions of 16 KiB in all.
#[tokio::test]
async fn small_chunks_may_have_short_extensions() {
    let host = TestHost::fixture("reports", &[]).await;
    let body = chunked(&chunks(4_000 * 16, 16, ";a"));
    let responses = exchange(&host, format!("{body}{LAST}")).await;
    assert_eq!(responses.iter().map(|response| response.status).collect::<Vec<_>>(), [200, 200]);
}

#[tokio::test]
async fn a_body_of_padding_gets_400_before_it_has_arrived() {
    let host = TestHost::fixture("reports", &[]).await;
    let cases = [
        ("blanks in the size of a chunk", format!("5{}\r\nhello\r\n0\r\n\r\n", " ".repeat(20 << 20))),
        ("blanks after each size", chunks(1_000 * 16, 16, &" ".repeat(1 << 10))),
        ("leading zeros", format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(20 << 20))),
        ("chunks of one byte", chunks(MAX_BODY, 1, "")),
        ("chunks of eight bytes", chunks(MAX_BODY, 8, "")),
    ];
    for (name, chunks) in cases {
        let started = Instant::now();
        let responses = exchange(&host, format!("{}{LAST}", chunked(&chunks))).await;
        assert_eq!(responses.len(), 1, "{name}: {responses:?}");
        let detail = responses[0].last_problem(400);
        assert!(detail.contains("too many chunks, or too many bytes around its data"), "{name}: {detail}");
        assert!(started.elapsed() < QUICK, "{name}: {:?}", started.elapsed());
    }
    assert_eq!(host.get("/health").await.status(), 200);
}

#[tokio::test]
async fn a_larger_body_may_have_more_chunks() {
    let host = TestHost::fixture("reports", &["--max-body", "2MiB"]).await;
    let responses = exchange(&host, format!("{}{LAST}", chunked(&chunks(MAX_BODY, 8, "")))).await;
    assert_eq!(responses.iter().map(|response| response.status).collect::<Vec<_>>(), [200, 200]);
}

#[tokio::test]
async fn fields_for_one_connection_do_not_reach_the_component() {
    let host = TestHost::fixture("reports", &[]).await;
    let fields = "Connection: keep-alive, X-Hop ,\r\nConnection: x-other, Host, Content-Length, X-Request-Id\r\nX-Hop: 1\r\n\
                  X-Other: 1\r\nX-Kept: 1\r\nTE: trailers\r\nTrailer: X-A\r\nX-Request-Id: mine\r\nX-Deadline-Ms: 1\r\nContent-Length: 5\r\n";
    let request = format!("POST /first HTTP/1.1\r\nHost: test\r\n{fields}\r\nhello{LAST}");
    let responses = exchange(&host, request).await;
    let report = &responses[0].body;
    let seen = report.lines().filter_map(|line| line.strip_prefix("field "));
    // What the host says itself, and not the client.
    let (deadlines, seen): (BTreeSet<_>, BTreeSet<_>) =
        seen.partition(|field| field.starts_with("x-deadline-ms: "));
    let left = deadlines.first().unwrap().rsplit(' ').next().unwrap();
    let left: u64 = left.parse().unwrap();
    assert!(deadlines.len() == 1 && (1000..=10_000).contains(&left), "{deadlines:?}");
    let expected = BTreeSet::from(["content-length: 5", "x-kept: 1", "x-request-id: mine"]);
    assert_eq!(seen, expected, "{report}");
    assert!(report.contains("authority test\n") && report.contains("body hello\n"), "{report}");
}
