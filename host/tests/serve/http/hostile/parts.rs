//! The forms of each part of a request, and what becomes of a request that contains them.
//!
//! A character up to U+00FF stands for one byte.

/// What becomes of a request. In the order of their rank: a request has the highest verdict of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The component responds, and the next request on the connection, too.
    Handled,
    /// The component responds, and the connection is closed.
    HandledLast,
    /// The host refuses it. It was readable, so the next request may be handled.
    Refused,
    /// The host refuses it and closes the connection.
    RefusedLast,
}

use Verdict::{Handled, HandledLast, Refused, RefusedLast};

/// One form of one part of a request.
#[derive(Clone, Debug)]
pub struct Part {
    /// The lines in the head.
    pub head: String,
    /// The bytes after the head.
    pub body: String,
    pub verdict: Verdict,
    /// The status of a refusal.
    pub status: u16,
    /// What the component must see of it: the target, the authority, or the body.
    pub seen: String,
}

/// A request that must never be read as one.
pub const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

fn part(verdict: Verdict, head: impl Into<String>, seen: &str) -> Part {
    Part { head: head.into(), body: String::new(), verdict, status: 400, seen: seen.to_owned() }
}

fn refused(verdict: Verdict, status: u16, head: impl Into<String>) -> Part {
    Part { status, ..part(verdict, head, "") }
}

/// Request lines. The authority of a whole URI is in [`authority_of`].
pub fn lines() -> Vec<Part> {
    let mut parts = Vec::new();
    for method in ["GET", "POST", "DELETE", "get", "BREW", "M-SEARCH", "!#$%&'*+-.^_`|~"] {
        parts.push(part(Handled, format!("{method} /first HTTP/1.1"), "/first"));
    }
    for target in ["/", "//first", "/a/../b", "/?q=%20&r", "/%00%ff", "/a;b=c@d:e", "/a%2f..%2f", "/[]|\"{}"]
    {
        parts.push(part(Handled, format!("GET {target} HTTP/1.1"), target));
    }
    for uri in
        ["http://other/first", "https://other:8080/first", "http://[::1]:80/first", "HTTP://1.2.3.4/first"]
    {
        parts.push(part(Handled, format!("GET {uri} HTTP/1.1"), "/first"));
    }
    parts.push(part(Handled, "\r\nGET /first HTTP/1.1", "/first"));

    for version in [
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/0.9",
        "HTTP/1.10",
        "HTTP/1",
        "http/1.1",
        "HTTP /1.1",
        "ICAP/1.0",
        "HTTP/1.1 x",
        "",
    ] {
        parts.push(part(RefusedLast, format!("GET /first {version}"), ""));
    }
    for start in [
        "GET  /first",
        "GET\t/first",
        " GET /first",
        "GET /fi rst",
        "GET",
        "G(T /first",
        "G\0T /first",
        "GET /first\0",
        "GET /fi\rrst",
        "GET /fi\u{7f}rst",
        "GET /first ",
        "GET /\u{ff}",
        "G\u{e9}T /first",
        "/first",
        "GET /\u{1}",
        "\u{16}\u{3}\u{1} /",
    ] {
        parts.push(part(RefusedLast, format!("{start} HTTP/1.1"), ""));
    }
    parts.push(part(RefusedLast, "GET /first", ""));
    parts.push(part(RefusedLast, "GET /first HTTP/1.1\r", ""));
    for target in [
        "*",
        "first",
        "test:80",
        "/\u{c3}\u{a4}",
        "/?q=\u{c3}\u{a4}",
        "http://u@other/first",
        "http://a:b@other/first",
        "http://a:b:c/",
        "http://a%/",
        "http://x:99999/",
        "http://x:-1/",
        "http://1.2.3.256/",
        "http://:80/",
        "http:///first",
        "http://[::1/",
        "http://\u{c3}\u{a4}/",
    ] {
        parts.push(part(Refused, format!("GET {target} HTTP/1.1"), ""));
    }
    parts.push(refused(RefusedLast, 501, "CONNECT test:80 HTTP/1.1"));
    parts.push(refused(Refused, 414, format!("GET /{} HTTP/1.1", "x".repeat(33 << 10))));
    parts
}

/// The authority in a request line.
pub fn authority_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("://")?;
    rest.split('/').next()
}

/// `Host` fields.
pub fn hosts() -> Vec<Part> {
    let mut parts =
        vec![part(Handled, "host:test\r\n", "test"), part(Handled, "HOST: \t test \t \r\n", "test")];
    for host in [
        "test",
        "test:80",
        "test:",
        "a_b.c-d.",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:80",
        "a%41",
        "xn--nxasmq6b",
        "1.2",
    ] {
        parts.push(part(Handled, format!("Host: {host}\r\n"), host));
    }
    for host in [
        "",
        ":80",
        "a:b",
        "a:b:c",
        "x:-1",
        "x:99999",
        "x:80:80",
        "::1",
        "[::1",
        "[::1]x",
        "[]",
        "[v1.a]",
        "a%",
        "a%00",
        "a%2f",
        "1.2.3.256",
        "1.2.3.4.5",
        "0x100000000",
        "xn--0",
        "a b",
        "a,b",
        "a/b",
        "a?b",
        "a#b",
        "u@a",
        "a\\b",
        "a\tb",
        "\u{c3}\u{a4}",
        "\u{ff}",
        "http://a/",
    ] {
        let verdict = if host == "a,b" { Handled } else { Refused };
        parts.push(part(verdict, format!("Host: {host}\r\n"), host));
    }
    for fields in ["", "Host: a\r\nHost: b\r\n", "Host: test\r\nHost: test\r\n", "Host: test\r\nhost:\r\n"] {
        parts.push(part(Refused, fields, ""));
    }
    for fields in [
        "Host : test\r\n",
        " Host: test\r\n",
        "Host: te\0st\r\n",
        "Host: te\rst\r\n",
        "Host: test\r\n folded\r\n",
        "Host\r\n",
        "Host:\r\n test\r\n",
        "\0Host: test\r\n",
        "Ho st: test\r\n",
    ] {
        parts.push(part(RefusedLast, fields, ""));
    }
    parts
}

/// Other fields.
pub fn fields() -> Vec<Part> {
    let mut parts = vec![part(Handled, "", "")];
    for field in [
        "X-A: 1",
        "X-A:",
        "X-A: \u{e4}\u{ff}",
        "X-A: 1\nX-B: 2",
        "X-A: \t1\t",
        "Connection: keep-alive",
        "Connection: x-a, ,\"\"",
        "Connection: host, content-length, x-request-id, transfer-encoding, expect",
        "Connection: TE\r\nTE: trailers",
        "TE: chunked",
        "Trailer: Content-Length",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAAA",
        "Upgrade: websocket",
        "Expect: 100-continue",
        "Expect: nonsense",
        "Content-Encoding: gzip",
        "X-Forwarded-Host: evil",
        "Proxy-Connection: close",
        "Keep-Alive: timeout=0",
        "X-Request-Id: a b",
        "Content_Length: 9",
        "Transfer_Encoding: chunked",
        "X-HTTP-Method-Override: PUT",
        "Content-Length-X: 9",
        "Range: bytes=0-",
        "Cookie: \"",
        "X-A: ${jndi:ldap://x}",
    ] {
        parts.push(part(Handled, format!("{field}\r\n"), ""));
    }
    for field in
        ["Connection: close", "Connection: keep-alive, close", "Connection: CLOSE\r\nConnection: keep-alive"]
    {
        parts.push(part(HandledLast, format!("{field}\r\n"), ""));
    }
    for field in [
        "X-A : 1",
        "X-A\t: 1",
        "X A: 1",
        ": 1",
        "X-A",
        "X-A: 1\r\n 2",
        "X-A: 1\r\n\t2",
        "X-A: 1\0",
        "X\0A: 1",
        "X-A: 1\rX-B: 2",
        "X-A: 1\r",
        "X-A: \u{1b}[31m",
        "X-\u{e4}: 1",
        "X-A: \u{7f}",
        "(x): 1",
        "\u{b}X-A: 1",
        "X-A: 1\r\n\0",
        "GET /smuggled HTTP/1.1",
        "{\"a\": 1}",
        "X-A: 1\r\n\r: 2",
    ] {
        parts.push(part(RefusedLast, format!("{field}\r\n"), ""));
    }
    parts.push(refused(Refused, 431, format!("X-A: {}\r\n", "x".repeat(33 << 10))));
    parts.push(refused(RefusedLast, 431, "X-A: 1\r\n".repeat(101)));
    parts
}

fn body(verdict: Verdict, fields: &str, body: impl Into<String>, seen: &str) -> Part {
    Part { body: body.into(), ..part(verdict, fields, seen) }
}

/// The fields that frame a body, with the body.
pub fn framings() -> Vec<Part> {
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
    let mut parts = vec![part(Handled, "", "")];
    for field in [
        "Content-Length: 5",
        "Content-Length:5 \t",
        "content-length: 0005",
        "Content-Length: 5\r\nContent-Length: 5",
    ] {
        parts.push(body(Handled, &format!("{field}\r\n"), "hello", "hello"));
    }
    parts.push(part(Handled, "Content-Length: 0\r\n", ""));
    parts.push(body(
        Handled,
        &format!("Content-Length: {}\r\n", SMUGGLED.len()),
        SMUGGLED,
        "GET /smuggled HTTP/1.1??Host: test????",
    ));
    for length in [
        "+5",
        "-5",
        "5, 5",
        "5 5",
        "",
        "0x5",
        "5.0",
        "5e0",
        "\u{b}5",
        "18446744073709551615",
        "18446744073709551621",
        "5\0",
        "5;",
        "5\r\nContent-Length: 4",
        "0\r\nContent-Length: 5",
        "five",
        "\u{d9}\u{a5}",
    ] {
        parts.push(body(RefusedLast, &format!("Content-Length: {length}\r\n"), "hello", ""));
    }
    parts.push(body(RefusedLast, "Content-Length : 5\r\n", "hello", ""));

    let one = "5\r\nhello\r\n0\r\n\r\n";
    for coding in ["chunked", "CHUNKED", "\t chunked \t"] {
        parts.push(body(Handled, &format!("Transfer-Encoding: {coding}\r\n"), one, "hello"));
    }
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: chunked\r\nContent-Length: x",
    ] {
        parts.push(body(HandledLast, &format!("{fields}\r\n"), one, "hello"));
    }
    for coding in [
        "gzip",
        "identity",
        "chunked, gzip",
        "chunked, chunked",
        "chunked;q=1",
        "\"chunked\"",
        "xchunked",
        "chunked,",
        "",
        "\u{b}chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "chunked\0",
        "\r\n chunked",
        "chunk ed",
        "chunked x",
        "\u{c3}chunked",
    ] {
        parts.push(body(RefusedLast, &format!("Transfer-Encoding: {coding}\r\n"), one, ""));
    }
    parts.push(body(RefusedLast, "Transfer-Encoding : chunked\r\n", one, ""));
    for coding in ["gzip, chunked", "identity, chunked", ", chunked", "gzip\r\nTransfer-Encoding: chunked"] {
        let refused = body(RefusedLast, &format!("Transfer-Encoding: {coding}\r\n"), one, "");
        parts.push(Part { status: 501, ..refused });
    }

    for size in ["5", "05", "0000000000000005", "5;a=b", "5;", "5 ;a", "5\t", "5;a=\"b;c\""] {
        parts.push(body(Handled, CHUNKED, format!("{size}\r\nhello\r\n0\r\n\r\n"), "hello"));
    }
    for chunks in ["1\r\nh\r\n4\r\nello\r\n000\r\n\r\n", "5\r\nhello\r\n0;a=b\r\n\r\n"] {
        parts.push(body(Handled, CHUNKED, chunks, "hello"));
    }
    for trailers in [
        "X-A: 1\r\n",
        "Content-Length: 9\r\n",
        "Host: evil\r\nTransfer-Encoding: chunked\r\n",
        "\n",
        &format!("\n{}", SMUGGLED.trim_end()),
    ] {
        parts.push(body(
            HandledLast,
            CHUNKED,
            format!("5\r\nhello\r\n0\r\n{}\r\n\r\n", trailers.trim_end_matches("\r\n")),
            "hello",
        ));
    }
    for size in [
        "",
        "-5",
        "+5",
        "0x5",
        " 5",
        "5g",
        "g",
        "5 5",
        "5,5",
        "10000000000000005",
        "ffffffffffffffffffffffffffffffffffffffff",
        "4",
        "6",
        "5\n",
        "5\rx",
        "5;a\nb",
        "\u{b}5",
        "5\0",
        "five",
        "\r\n5",
        "5.0",
        "5_0",
    ] {
        parts.push(body(RefusedLast, CHUNKED, format!("{size}\r\nhello\r\n0\r\n\r\n"), ""));
    }
    for chunks in [
        "5\nhello\n0\n\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-A\r\n\r\n",
        "5\r\nhello\r\n0\r\nX A: 1\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-A: \0\r\n\r\n",
        "0\r\n\rx",
    ] {
        parts.push(body(RefusedLast, CHUNKED, format!("{chunks}{SMUGGLED}"), ""));
    }
    parts.push(body(RefusedLast, CHUNKED, format!("0;\n{SMUGGLED}"), ""));
    parts.push(body(RefusedLast, CHUNKED, format!("5{}\r\nhello\r\n0\r\n\r\n", " ".repeat(300 << 10)), ""));
    parts.push(body(RefusedLast, CHUNKED, format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20 << 10)), ""));
    parts
}
