//! The forms of the parts of a head, without those that frame a body.

use super::part::{
    Part,
    Verdict::{Handled, HandledLast, Refused, RefusedLast},
    part, refused,
};

/// Request lines. The authority of a whole URI is in [`authority_of`].
pub fn lines() -> Vec<Part> {
    [valid_lines(), invalid_lines()].concat()
}

fn valid_lines() -> Vec<Part> {
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
    parts
}

fn invalid_lines() -> Vec<Part> {
    let mut parts = Vec::new();
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
