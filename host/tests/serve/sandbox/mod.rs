//! What a component can do wrong, access and print.

pub mod evidence;
pub mod guest_failures;
pub mod logs;
pub mod outbound;
pub mod processor_time;
pub mod reuse;
