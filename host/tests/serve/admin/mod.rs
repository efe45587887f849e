//! The admin API, over real sockets.

pub mod followers;
pub mod requests;
pub mod rollouts;
pub mod uploads;
