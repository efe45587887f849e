//! Connections, limits and the documents of the public side.

pub mod explorer;
pub mod http1;
pub mod http1_bodies;
pub mod limits;
pub mod overload;
pub mod transport_errors;
pub mod walkthrough;
