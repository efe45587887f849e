//! Request heads that two readers could read in two ways. Each has one outcome, and no request is smuggled.

use crate::{
    harness::{ORDER, TestHost},
    raw::{Case, POST, check_cases, order},
};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// A request whose body is an order. `fields` must frame it.
fn framed(fields: &str) -> String {
    format!("{POST}{fields}\r\n{ORDER}")
}

/// A request whose body is an order in one chunk.
fn chunked(fields: &str) -> String {
    format!("{POST}{fields}\r\n{:x}\r\n{ORDER}\r\n0\r\n\r\n", ORDER.len())
}

#[tokio::test]
async fn a_content_length_is_one_number() {
    let host = TestHost::orders(&[]).await;
    let length = ORDER.len();
    let with = |value: String| framed(&format!("Content-Length: {value}\r\n"));
    let twice = |other: usize| framed(&format!("Content-Length: {length}\r\nContent-Length: {other}\r\n"));
    check_cases(
        &host,
        vec![
            Case::served("one length", 201, with(length.to_string())),
            Case::served("the same length twice", 201, twice(length)),
            Case::served("leading zeros", 201, with(format!("000{length}"))),
            Case::rejected("two lengths", 400, twice(length - 1)),
            Case::rejected("two lengths, the second is zero", 400, twice(0)),
            Case::rejected("a list of one length twice", 400, with(format!("{length}, {length}"))),
            Case::rejected("a list of two lengths", 400, with(format!("{length}, 0"))),
            Case::rejected("a plus sign", 400, with(format!("+{length}"))),
            Case::rejected("a minus sign", 400, with(format!("-{length}"))),
            Case::rejected("an empty value", 400, with(String::new())),
            Case::rejected("a space inside", 400, with("9 1".into())),
            Case::rejected("a fraction", 400, with(format!("{length}.0"))),
            Case::rejected("hexadecimal", 400, with(format!("0x{length:x}"))),
            Case::rejected("a full stop", 400, with(format!("{length}."))),
            Case::rejected("an underscore", 400, with("9_1".into())),
            Case::rejected("2^64 - 1", 400, with(u64::MAX.to_string())),
            Case::rejected("2^64", 400, with("18446744073709551616".into())),
            Case::rejected("forty digits", 400, with("1".repeat(40))),
        ],
    )
    .await;
}

#[tokio::test]
async fn chunked_is_the_only_transfer_encoding() {
    let host = TestHost::orders(&[]).await;
    let coding = |value: &str| chunked(&format!("Transfer-Encoding: {value}\r\n"));
    check_cases(
        &host,
        vec![
            Case::served("chunked", 201, coding("chunked")),
            Case::served("in upper case", 201, coding("CHUNKED")),
            Case::served("with white space around it", 201, coding(" \tchunked\t ")),
            Case::rejected("another coding", 400, coding("gzip")),
            Case::rejected("chunked is not the last", 400, coding("chunked, gzip")),
            Case::rejected("chunked is the last of two", 501, coding("gzip, chunked")),
            Case::rejected("identity before it", 501, coding("identity, chunked")),
            Case::rejected("identity", 400, coding("identity")),
            Case::rejected("chunked twice", 400, coding("chunked, chunked")),
            Case::rejected("chunked twice, in two fields", 400, chunked(&CHUNKED.repeat(2))),
            Case::rejected(
                "gzip in a field before",
                501,
                chunked(&format!("Transfer-Encoding: gzip\r\n{CHUNKED}")),
            ),
            Case::rejected(
                "gzip in a field after",
                400,
                chunked(&format!("{CHUNKED}Transfer-Encoding: gzip\r\n")),
            ),
            Case::rejected("an empty coding before it", 501, coding(", chunked")),
            Case::rejected("an empty value", 400, coding("")),
            Case::rejected("a similar name", 400, coding("xchunked")),
            Case::rejected("with a parameter", 400, coding("chunked;q=1")),
            Case::rejected("in quotes", 400, coding("\"chunked\"")),
            Case::rejected("a vertical tab before it", 400, coding("\u{b}chunked")),
            Case::rejected("a space before the colon", 400, chunked("Transfer-Encoding : chunked\r\n")),
            Case::rejected("on a separate line", 400, chunked("Transfer-Encoding:\r\n chunked\r\n")),
            Case::rejected("in HTTP/1.0", 400, coding("chunked").replace("HTTP/1.1", "HTTP/1.0")),
        ],
    )
    .await;
}

/// With both, Content-Length is ignored, and nothing that follows on the connection is trusted (RFC 9112, section 6.1).
#[tokio::test]
async fn a_transfer_encoding_with_a_content_length_ends_the_connection() {
    let host = TestHost::orders(&[]).await;
    let once = |name, status, request: String| {
        let mut case = Case::served(name, status, request);
        case.outcome.statuses.pop();
        case.outcome.orders -= 1;
        case
    };
    // By its Content-Length, the body would end after four bytes, and what follows would be another request.
    let both = [format!("Content-Length: 4\r\n{CHUNKED}"), format!("{CHUNKED}Content-Length: 4\r\n")];
    let [before, after] = both.map(|fields| chunked(&fields));
    let invalid = chunked(&format!("{CHUNKED}Content-Length: nonsense\r\n"));
    let smuggled = format!("{POST}Content-Length: 6\r\n{CHUNKED}\r\n0\r\n\r\nG");
    check_cases(
        &host,
        vec![
            once("the length before", 201, before),
            once("the length after", 201, after),
            once("an invalid length after", 201, invalid),
            Case::rejected("an empty chunked body, and a letter before the next request", 400, smuggled),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_lines_of_a_head_are_unambiguous() {
    let host = TestHost::orders(&[]).await;
    let field = |line: &str| order(&format!("{line}\r\n"));
    let start = |from: &str, to: &str| order("").replacen(from, to, 1);
    check_cases(
        &host,
        vec![
            Case::served("an empty line before", 201, format!("\r\n{}", order(""))),
            Case::served("only line feeds", 201, order("").replace("\r\n", "\n")),
            Case::served("a line feed in the middle", 201, field("X-A: 1\nX-B: 2")),
            Case::served("an empty value", 201, field("X-A:")),
            Case::served("a value that is not ASCII", 201, field("X-A: \u{e4}")),
            Case::rejected("a folded line", 400, field("X-A: 1\r\n 2")),
            Case::rejected("a line folded with a tab", 400, field("X-A: 1\r\n\t2")),
            Case::rejected("a folded request line", 400, start("\r\nHost", "\r\n Host")),
            Case::rejected("a carriage return in a value", 400, field("X-A: 1\rContent-Length: 0")),
            Case::rejected("a carriage return at the end of a value", 400, field("X-A: 1\r")),
            Case::rejected("a carriage return in a name", 400, field("X\r-A: 1")),
            Case::rejected("a carriage return in the target", 400, start("/api", "/\rapi")),
            Case::rejected("only carriage returns", 400, order("").replace("\r\n", "\r")),
            Case::rejected("a NUL in a value", 400, field("X-A: 1\0")),
            Case::rejected("a NUL in a name", 400, field("X\0A: 1")),
            Case::rejected("a NUL in the target", 400, start("/orders", "/orders\0")),
            Case::rejected("an escape in a value", 400, field("X-A: \u{1b}[31m")),
            Case::rejected("a space before the colon", 400, field("X-A : 1")),
            Case::rejected("a tab before the colon", 400, field("X-A\t: 1")),
            Case::rejected("a space in a name", 400, field("X A: 1")),
            Case::rejected("no name", 400, field(": 1")),
            Case::rejected("no colon", 400, field("X-A")),
            Case::rejected("a name that is not ASCII", 400, field("X-\u{e4}: 1")),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_request_line_is_a_method_a_target_and_a_version() {
    let host = TestHost::orders(&[]).await;
    let start = |from: &str, to: &str| order("").replacen(from, to, 1);
    let version = |version: &str| start("HTTP/1.1", version);
    check_cases(
        &host,
        vec![
            Case::served("a method in lower case", 405, start("POST", "post")),
            Case::served("an unknown method", 405, start("POST", "BREW")),
            Case::rejected("an invalid method", 400, start("POST", "P(ST")),
            Case::rejected("no method", 400, start("POST ", "")),
            Case::rejected("a space before the method", 400, start("POST", " POST")),
            Case::rejected("two spaces", 400, start("POST /", "POST  /")),
            Case::rejected("a tab instead of a space", 400, start("POST /", "POST\t/")),
            Case::rejected("a space in the target", 400, start("/orders", "/or ders")),
            Case::rejected("a target that is not a path", 400, start("/api", "api")),
            Case::rejected("HTTP/0.9", 400, "GET /api/v1/orders\r\n\r\n"),
            Case::rejected("HTTP/1.2", 400, version("HTTP/1.2")),
            Case::rejected("HTTP/2.0", 400, version("HTTP/2.0")),
            Case::rejected("HTTP/1.10", 400, version("HTTP/1.10")),
            Case::rejected("http/1.1", 400, version("http/1.1")),
            Case::rejected("another protocol", 400, version("ICAP/1.0")),
            Case::rejected("no version", 400, start(" HTTP/1.1", "")),
            Case::rejected("the preface of HTTP/2", 400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            Case::rejected("TLS", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice()),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_request_is_for_one_host_and_a_path() {
    let host = TestHost::orders(&[]).await;
    let named = |fields: &str| order("").replacen("Host: test\r\n", fields, 1);
    let target = |target: &str| order("").replacen("/api/v1/orders", target, 1);
    let bare = |start: &str| format!("{start} HTTP/1.1\r\nHost: test\r\n\r\n");
    check_cases(
        &host,
        vec![
            Case::served("a host and a port", 201, named("Host: test:80\r\n")),
            Case::served("an address", 201, named("Host: [::1]:8080\r\n")),
            Case::rejected("an empty host", 400, named("Host:\r\n")),
            Case::rejected("no host", 400, named("")),
            Case::rejected("two hosts", 400, named("Host: a\r\nHost: b\r\n")),
            Case::rejected("the same host twice", 400, named("Host: a\r\nhost: a\r\n")),
            Case::rejected("a list of hosts", 400, named("Host: a b\r\n")),
            Case::rejected("a host with a path", 400, named("Host: a/b\r\n")),
            Case::rejected("a host with a user", 400, named("Host: a@b\r\n")),
            Case::rejected("a host that is not ASCII", 400, named("Host: \u{e4}\r\n")),
            Case::rejected("a host with a port that is not a number", 400, named("Host: a:b\r\n")),
            Case::rejected("an address without brackets", 400, named("Host: ::1\r\n")),
            Case::rejected("a number that is not an address", 400, named("Host: 1.2.3.256\r\n")),
            Case::rejected("a target beyond ASCII", 400, target("/api/v1/orders?\u{e4}")),
            Case::rejected("a whole URI with an invalid host", 400, target("http://a%/api/v1/orders")),
            Case::rejected("a whole URI with an invalid port", 400, target("http://a:99999/api/v1/orders")),
            Case::served("a whole URI, for another host", 201, target("http://elsewhere/api/v1/orders")),
            Case::rejected("a whole URI with a user", 400, target("http://a@b/api/v1/orders")),
            Case::served("an asterisk", 204, bare("OPTIONS *")),
            Case::served("an asterisk for another method", 400, bare("GET *")),
            Case::served("an authority for another method", 400, bare("GET test:80")),
            Case::rejected("CONNECT", 501, bare("CONNECT test:80")),
        ],
    )
    .await;
}
