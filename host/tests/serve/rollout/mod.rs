//! How one module replaces another while requests are in flight.

mod blame;
pub mod canary;
mod fairness;
mod isolation;
pub mod reload;
pub mod rollback;
pub mod swap;
pub mod swap_orders;
pub mod swap_refused;
