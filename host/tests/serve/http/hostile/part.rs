//! A form of a part of a request, and what becomes of a request that contains it.
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

pub fn part(verdict: Verdict, head: impl Into<String>, seen: &str) -> Part {
    Part { head: head.into(), body: String::new(), verdict, status: 400, seen: seen.to_owned() }
}

pub fn refused(verdict: Verdict, status: u16, head: impl Into<String>) -> Part {
    Part { status, ..part(verdict, head, "") }
}

pub fn body(verdict: Verdict, fields: &str, body: impl Into<String>, seen: &str) -> Part {
    Part { body: body.into(), ..part(verdict, fields, seen) }
}
