//! The log of `serve` on standard output. A line goes through a queue to a thread that writes it: no request waits for the log.
//!
//! | file | what it does |
//! |---|---|
//! | [`text`] | text from elsewhere in a log line: cut, and without control characters |
//! | [`time`] | durations in a log line: one unit |
//! | [`queue`] | lines that wait to be written, bounded in bytes; lines that do not fit are counted |
//! | [`writer`] | the thread that writes them, and reports how many were lost |
//! | [`start`](mod@start) | formats what the program logs, and starts the thread |

pub mod queue;
pub mod start;
pub mod text;
pub mod time;
pub mod writer;
