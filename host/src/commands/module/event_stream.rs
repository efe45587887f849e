//! The event stream of the admin API.

use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::rollout::events::Event;

/// Maximum size of an event, in bytes.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// Reads server-sent events in the form in which the service writes them.
#[derive(Debug)]
pub(super) struct EventStream {
    body: Incoming,
    /// Received bytes that do not form a complete event yet.
    unread: Vec<u8>,
    /// The number of the last event.
    pub(super) last_number: u64,
}

impl EventStream {
    pub(super) fn new(body: Incoming, last_number: u64) -> Self {
        Self { body, unread: Vec::new(), last_number }
    }

    /// The next event; none if the connection has ended. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(block) = take_block(&mut self.unread) {
                let (number, event) = parse(&block);
                self.last_number = number.unwrap_or(self.last_number);
                if event.is_some() {
                    return event;
                }
            }
            if self.unread.len() > MAX_EVENT_BYTES {
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.unread.extend_from_slice(&data);
            }
        }
    }
}

/// Removes and returns the first event: everything up to an empty line.
fn take_block(unread: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = unread.windows(2).position(|two| two == b"\n\n")?;
    let rest = unread.split_off(end + 2);
    Some(std::mem::replace(unread, rest))
}

/// The number of an event, and the event itself; none for an unknown kind of event or a keep-alive comment.
fn parse(block: &[u8]) -> (Option<u64>, Option<Event>) {
    let text = String::from_utf8_lossy(block);
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let number = field("id:").and_then(|number| number.parse().ok());
    (number, field("data:").and_then(|data| serde_json::from_str(data).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::events::Step;

    #[test]
    fn events_are_read_wherever_they_are_split() {
        let module = "0".repeat(64);
        let text = format!(
            ":\n\nid: 7\ndata: {{\"number\":7,\"at\":\"now\",\"module\":\"{module}\",\"step\":\"refused\",\"why\":\"no\"}}\n\nid: \
             8\ndata: {{\"step\":\"unknown here\"}}\n\nid: 9"
        );
        for cut in 0..text.len() {
            let (before, after) = text.as_bytes().split_at(cut);
            let mut unread = Vec::new();
            let mut seen = Vec::new();
            for part in [before, after] {
                unread.extend_from_slice(part);
                while let Some(block) = take_block(&mut unread) {
                    seen.push(parse(&block));
                }
            }
            let numbers: Vec<_> = seen.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers, [None, Some(7), Some(8)]);
            let events: Vec<_> = seen.into_iter().filter_map(|(_, event)| event).collect();
            assert_eq!(events.len(), 1);
            assert_eq!(events[0].step, Step::Refused { why: "no".to_owned(), requested: false, by: None });
            assert_eq!(unread, b"id: 9");
        }
    }
}
