//! How one module replaces another while requests go on.

pub mod canary;
pub mod swap;
pub mod swap_orders;
pub mod swap_refused;
