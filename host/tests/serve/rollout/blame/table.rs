//! The table of who is blamed for what: its rows, and how they are played.

use std::time::Duration;

use crate::{
    harness::TestHost,
    wire::{Counts, End, QUICK, Seen, Wire, counts, get},
};

/// One row of the table.
pub struct Row {
    cause: String,
    bytes: Vec<u8>,
    client: Client,
    gets: Gets,
    blame: Blame,
}

/// What a client does after it has sent its bytes.
#[derive(Clone, Copy)]
pub enum Client {
    /// It reads the response.
    Reads,
    /// It sends no more, but reads the response.
    HalfCloses,
    /// It leaves at once.
    Leaves,
    /// It leaves once the component prints `here`.
    LeavesTheCall,
    /// It reads the head of the response, and leaves.
    LeavesAfterHead,
    /// It reads the head of the response, and resets the connection.
    ResetsAfterHead,
    /// It reads the response when the deadline of the request is over.
    ReadsLate,
    /// It does not read until the host cuts the connection.
    DoesNotRead,
}

/// What the client gets.
#[derive(Clone, Copy, Debug)]
pub enum Gets {
    /// A whole response of the component.
    Response(u16),
    /// A whole response of the host.
    Problem(u16),
    /// The head of a response, and then a reset.
    Cut,
    /// The client is not there to see it, or may get anything.
    Whatever,
}

/// Who is blamed.
#[derive(Clone, Copy, Debug)]
pub enum Blame {
    /// The module has served one more request.
    Served,
    /// The module has failed once more.
    Module,
    /// The request is not counted at all.
    Nobody,
    /// The module has not failed; the request may be counted.
    NotTheModule,
}

pub fn row(
    cause: impl Into<String>,
    bytes: impl Into<Vec<u8>>,
    client: Client,
    gets: Gets,
    blame: Blame,
) -> Row {
    Row { cause: cause.into(), bytes: bytes.into(), client, gets, blame }
}

impl Blame {
    fn fits(self, before: &Counts, after: &Counts) -> bool {
        let change = (after.requests - before.requests, after.failures - before.failures);
        match self {
            Self::Served => change == (1, 0),
            Self::Module => change == (1, 1),
            Self::Nobody => change == (0, 0),
            Self::NotTheModule => matches!(change, (0 | 1, 0)),
        }
    }
}

impl Gets {
    fn fits(self, seen: Option<&Result<Seen, End>>) -> bool {
        match (self, seen) {
            (Self::Whatever, _) => true,
            (Self::Problem(status), Some(Ok(seen))) => seen.is_problem(status),
            (Self::Response(status), Some(Ok(seen))) => {
                (seen.head.status, seen.end) == (status, End::Whole) && !seen.is_problem(status)
            }
            (Self::Cut, Some(Ok(seen))) => seen.head.status == 200 && seen.end == End::Reset,
            _ => false,
        }
    }
}

/// Plays all rows, one after the other, and names those that are wrong. A request that is counted late is found with the next
/// row.
pub async fn check(options: &[&str], rows: Vec<Row>) {
    let host = TestHost::fixture("frames", options).await;
    let mut before = counts(&host).await;
    let mut wrong = Vec::new();
    let last = row("the last row", get(QUICK), Client::Reads, Gets::Response(200), Blame::Served);
    for Row { cause, bytes, client, gets, blame } in rows.into_iter().chain([last]) {
        let seen = play(&host, &bytes, client).await;
        let after = settled(&host, blame, &before).await;
        if !gets.fits(seen.as_ref()) || !blame.fits(&before, &after) {
            let seen = seen.map(|seen| seen.map(|seen| (seen.head, seen.body.len(), seen.end)));
            let counted = format!("{before:?} {after:?}");
            wrong.push(format!("{cause}: got {seen:?} instead of {gets:?}, blame {blame:?}: {counted}"));
        }
        before = after;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Does what a client does; returns the response if it read one.
async fn play(host: &TestHost, bytes: &[u8], client: Client) -> Option<Result<Seen, End>> {
    let is_narrow = matches!(client, Client::ReadsLate | Client::DoesNotRead);
    let mut wire = if is_narrow { Wire::narrow(host.address).await } else { Wire::open(host).await };
    let accesses = |line: &serde_json::Value| line["target"] == "access";
    let here = |line: &serde_json::Value| line["message"] == "here";
    let logged = |is_one: fn(&serde_json::Value) -> bool| {
        host.log().lines().iter().filter(|line| is_one(line)).count()
    };
    let (accessed, printed) = (logged(accesses), logged(here));
    wire.send(bytes).await;
    let method = if bytes.starts_with(b"HEAD") { "HEAD" } else { "GET" };
    match client {
        Client::Reads => return Some(wire.response(method).await),
        Client::HalfCloses => {
            wire.half_close().await;
            return Some(wire.response(method).await);
        }
        Client::ReadsLate => {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            return Some(wire.response(method).await);
        }
        Client::Leaves => return None,
        Client::LeavesTheCall => host.log().wait_for_count("the call", printed + 1, here).await,
        Client::LeavesAfterHead | Client::ResetsAfterHead => {
            assert_eq!(wire.head().await.expect("a head").status, 200);
        }
        Client::DoesNotRead => {}
    }
    let _unread = match client {
        Client::DoesNotRead => Some(wire),
        Client::ResetsAfterHead => {
            wire.reset();
            None
        }
        _ => {
            drop(wire);
            None
        }
    };
    host.log().wait_for_count("the end of the request", accessed + 1, accesses).await;
    None
}

/// Waits for a moment until the request is counted as expected; returns the counts then.
async fn settled(host: &TestHost, blame: Blame, before: &Counts) -> Counts {
    // If it may be counted, it must not be counted during the next row.
    let expected = if matches!(blame, Blame::NotTheModule) { Blame::Served } else { blame };
    let mut seen = counts(host).await;
    for _ in 0..100 {
        if expected.fits(before, &seen) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        seen = counts(host).await;
    }
    seen
}
