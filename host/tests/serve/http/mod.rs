//! The public side: connections, limits, hostile requests, the API explorer.

pub mod explorer;
pub mod framing;
pub mod half_close;
pub mod hostile;
pub mod http1;
pub mod http1_bodies;
pub mod limits;
pub mod overload;
pub mod transport_errors;
pub mod uploads;
pub mod walkthrough;
