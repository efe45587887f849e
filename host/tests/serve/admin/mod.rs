//! The admin API, over real sockets.

pub mod requests;
pub mod uploads;
