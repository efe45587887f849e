//! What a component can do wrong, access and print, and what its readers can do.

pub mod evidence;
pub mod framing;
pub mod guest_failures;
pub mod logs;
pub mod outbound;
pub mod processor_time;
pub mod readers;
pub mod reuse;
pub mod streams;
