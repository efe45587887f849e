//! Hostile requests: each part of a request in every form, alone and with the forms of the other parts. A request has the
//! outcome of its worst part, and no part of it is read as another request.

mod framings;
mod heads;
mod part;

use std::fmt::Write;

use futures_util::StreamExt;

use crate::{
    harness::TestHost,
    raw::{RawResponse, exchange},
};
use heads::authority_of;
use part::{Part, SMUGGLED, Verdict};

/// The request after the hostile one.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
/// Requests at once.
const AT_ONCE: usize = 32;

/// A hostile request, by its parts: request line, `Host`, other fields, framing.
struct Request<'a>([&'a Part; 4]);

impl Request<'_> {
    fn text(&self) -> String {
        let [line, host, fields, framing] = self.0;
        format!("{}\r\n{}{}{}\r\n{}", line.head, host.head, fields.head, framing.head, framing.body)
    }

    /// What is wrong with the responses to it.
    fn fault(&self, responses: &[RawResponse]) -> Option<String> {
        let verdict = self.0.iter().map(|part| part.verdict).max()?;
        let statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
        let may_be =
            |status| self.0.iter().any(|part| part.verdict >= Verdict::Refused && part.status == status);
        let [line, host, _, framing] = self.0;
        let expected = match (verdict, &statuses[..]) {
            (Verdict::Handled, [200, 200]) | (Verdict::HandledLast, [200]) => true,
            (Verdict::Refused, [status, 200]) => may_be(*status),
            (Verdict::Refused | Verdict::RefusedLast, [status]) => {
                may_be(*status) && responses[0].field("connection") == Some("close")
            }
            _ => false,
        };
        if !expected {
            return Some(format!("{statuses:?}, but it is {verdict:?}"));
        }
        if statuses.len() == 2 && !responses[1].body.contains("\ntarget /next\n") {
            return Some(format!("the next request was {:?}", responses[1].body));
        }
        let report = &responses[0].body;
        if statuses[0] != 200 {
            return report.contains("\ntarget ").then(|| format!("it reached the component: {report:?}"));
        }
        let authority = authority_of(&line.head).unwrap_or(&host.seen);
        let length = if framing.seen.is_empty() { "0" } else { "" };
        let wanted = [
            format!("authority {authority}\n"),
            format!("target {}\n", line.seen),
            format!("length {length}"),
            format!("body {}\n", framing.seen),
        ];
        let missing = wanted.iter().find(|wanted| !report.contains(&format!("\n{wanted}")));
        let hidden =
            ["te", "trailer", "connection", "host", "transfer-encoding", "upgrade", "http2-settings"];
        let leaked = hidden.iter().find(|name| report.contains(&format!("\nfield {name}:")));
        missing
            .map(|missing| format!("the component did not see {missing:?}: {report:?}"))
            .or_else(|| leaked.map(|leaked| format!("the component saw the field {leaked:?}: {report:?}")))
    }
}

/// Each form beside the first forms of the other parts, and a quarter of all pairs of forms.
fn requests(kinds: &[Vec<Part>; 4]) -> Vec<Request<'_>> {
    let mut requests = Vec::new();
    for first in 0..kinds.len() {
        for second in first + 1..kinds.len() {
            for (n, one) in kinds[first].iter().enumerate() {
                for (m, other) in kinds[second].iter().enumerate() {
                    if n == 0 || m == 0 || (n + m) % 4 == 0 {
                        let mut parts = kinds.each_ref().map(|parts| &parts[0]);
                        (parts[first], parts[second]) = (one, other);
                        requests.push(Request(parts));
                    }
                }
            }
        }
    }
    requests
}

/// One byte for each character.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(character).expect("a character of one byte")).collect()
}

/// The start of a long text.
fn start(text: &str) -> String {
    text.chars().take(300).collect()
}

#[tokio::test]
async fn a_hostile_request_has_the_outcome_of_its_worst_part() {
    let host = TestHost::fixture("reports", &["--request-timeout", "5s", "--header-timeout", "5s"]).await;
    let kinds = [heads::lines(), heads::hosts(), heads::fields(), framings::framings()];
    let requests = requests(&kinds);
    let count = requests.len();
    let checked = futures_util::stream::iter(requests).map(async |request: Request<'_>| {
        let text = request.text();
        let responses = exchange(&host, bytes(&format!("{text}{NEXT}"))).await;
        let final_responses: Vec<_> =
            responses.into_iter().filter(|response| response.status != 100).collect();
        request.fault(&final_responses).map(|fault| format!("{:?}: {fault}", start(&text)))
    });
    let faults: Vec<_> = checked.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    let mut list = String::new();
    faults.iter().take(100).for_each(|fault| writeln!(list, "{fault}").expect("a string"));
    assert!(faults.is_empty(), "{} of {count} requests:\n{list}", faults.len());
    check_log(&host).await;
}

/// No smuggled request has reached the component, not even one whose response was not sent.
async fn check_log(host: &TestHost) {
    let last = host.get("/last").await;
    host.log().access(last.field("x-request-id")).await;
    let smuggled = host.log().lines().into_iter().find(|line| line["path"] == "/smuggled");
    assert!(smuggled.is_none(), "{smuggled:?}");
}

/// Requests that are not made of parts that can be combined.
#[tokio::test]
async fn other_protocols_and_versions_have_one_outcome() {
    let host = TestHost::fixture("reports", &[]).await;
    let cases: &[(&str, &[u16])] = &[
        ("GET / HTTP/1.0\r\nHost: test\r\n\r\n", &[200]),
        ("GET / HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n", &[200, 200]),
        ("GET / HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", &[200, 200]),
        ("GET / HTTP/1.0\r\n\r\n", &[400]),
        ("GET / HTTP/1.0\r\nHost: a:b\r\n\r\n", &[400]),
        ("POST / HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]),
        ("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n", &[204, 200]),
        ("OPTIONS * HTTP/1.1\r\nHost: a:b\r\n\r\n", &[400, 200]),
        ("GET http://other HTTP/1.1\r\nHost: test\r\n\r\n", &[200, 200]),
        ("GET / HTTP/1.1\rHost: test\r\r", &[400]),
        ("GET / HTTP/1.1\nHost: test\n\n", &[200, 200]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400]),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}", &[400]),
        ("SSH-2.0-OpenSSH_9.9\r\n", &[400]),
        ("*1\r\n$4\r\nPING\r\n", &[400]),
        ("\0", &[400]),
        ("\r\n\r\n\r\n\r\n", &[200]),
        (SMUGGLED, &[200, 200]),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let responses = exchange(&host, bytes(&format!("{text}{NEXT}"))).await;
        let statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
        if statuses != *expected {
            wrong.push(format!("{text:?}: {statuses:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
