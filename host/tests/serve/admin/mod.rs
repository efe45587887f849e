//! The admin API, over real sockets.

pub mod connections;
pub mod followers;
pub mod requests;
pub mod rollouts;
pub mod slow_clients;
pub mod socket;
pub mod tokens;
pub mod uploads;
