//! What a component can do wrong, reach and print.

pub mod guest_failures;
pub mod logs;
pub mod outbound;
pub mod reuse;
