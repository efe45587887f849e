//! The forms of a body and of the fields that frame it.

use super::part::{
    Part, SMUGGLED,
    Verdict::{Handled, HandledLast, RefusedLast},
    body, part,
};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// The fields that frame a body, with the body. The first form has none.
pub fn framings() -> Vec<Part> {
    [vec![part(Handled, "", "")], lengths(), codings(), sizes(), chunks()].concat()
}

fn lengths() -> Vec<Part> {
    let mut parts = vec![part(Handled, "Content-Length: 0\r\n", "")];
    for field in [
        "Content-Length: 5",
        "Content-Length:5 \t",
        "content-length: 0005",
        "Content-Length: 5\r\nContent-Length: 5",
    ] {
        parts.push(body(Handled, &format!("{field}\r\n"), "hello", "hello"));
    }
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
    parts
}

fn codings() -> Vec<Part> {
    let mut parts = Vec::new();
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
    parts
}

fn sizes() -> Vec<Part> {
    let mut parts = Vec::new();
    for size in ["5", "05", "0000000000000005", "5;a=b", "5;", "5 ;a", "5\t", "5;a=\"b;c\""] {
        parts.push(body(Handled, CHUNKED, format!("{size}\r\nhello\r\n0\r\n\r\n"), "hello"));
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
    parts.push(body(RefusedLast, CHUNKED, format!("5{}\r\nhello\r\n0\r\n\r\n", " ".repeat(300 << 10)), ""));
    parts.push(body(RefusedLast, CHUNKED, format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20 << 10)), ""));
    parts
}

fn chunks() -> Vec<Part> {
    let mut parts = Vec::new();
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
    parts
}
