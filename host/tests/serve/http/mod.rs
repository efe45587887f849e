//! The public side: connections, limits, the API explorer.

pub mod explorer;
pub mod http1;
pub mod http1_bodies;
pub mod limits;
pub mod overload;
pub mod transport_errors;
pub mod walkthrough;
