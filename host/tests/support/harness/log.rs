//! The log of a host, as a test reads it.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    sync::watch,
};

use super::within;

/// The lines that a host has logged so far. Clones share them.
#[derive(Clone)]
pub struct Log {
    lines: Arc<Mutex<Vec<Value>>>,
    count: watch::Receiver<usize>,
    reading: Arc<watch::Sender<bool>>,
}

impl Log {
    /// Reads JSON lines from `output` until it ends.
    pub(super) fn follow(output: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (counter, count) = watch::channel(0);
        let (reading, mut may_read) = watch::channel(true);
        let log = Self { lines: Arc::clone(&lines), count, reading: Arc::new(reading) };
        tokio::spawn(async move {
            let mut output = BufReader::new(output).lines();
            while let Ok(Some(line)) = output.next_line().await {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a JSON line: {line}"));
                lines.lock().unwrap().push(line);
                counter.send_modify(|count| *count += 1);
                // Once nobody can pause it, it reads to the end.
                let _ = may_read.wait_for(|reading| *reading).await;
            }
        });
        log
    }

    /// Stops reading after the next line, so that the pipe fills.
    pub fn pause(&self) {
        self.reading.send_replace(false);
    }

    /// Reads on.
    pub fn resume(&self) {
        self.reading.send_replace(true);
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for a line for which `matches` is true, and returns the first. `what` describes it.
    pub async fn wait_for(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let mut count = self.count.clone();
        within(what, async {
            loop {
                count.borrow_and_update();
                if let Some(line) = self.lines().into_iter().find(&matches) {
                    return line;
                }
                if count.changed().await.is_err() {
                    panic!("the log ended before {what}: {:#?}", self.lines());
                }
            }
        })
        .await
    }

    /// Waits until there are at least `wanted` lines for which `matches` is true.
    pub async fn wait_for_count(&self, what: &str, wanted: usize, matches: impl Fn(&Value) -> bool) {
        let mut count = self.count.clone();
        within(what, async {
            count.borrow_and_update();
            while self.lines().iter().filter(|line| matches(line)).count() < wanted {
                count.changed().await.unwrap_or_else(|_| panic!("the log ended before {what}"));
            }
        })
        .await;
    }

    /// Waits for the access log record of a request.
    pub async fn access(&self, request_id: &str) -> Value {
        let is_record = |line: &Value| line["target"] == "access" && line["request_id"] == request_id;
        self.wait_for("an access log record", is_record).await
    }
}
