//! What the load of a rollout requests.

use std::net::SocketAddr;

use orders_bench::client::{ORDER, create_request};

/// What is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The response of the fixture `behaves`.
    Get,
    /// A new order.
    CreateOrder,
}

impl Request {
    /// The status of the response of a good module.
    pub(super) fn success(self) -> u16 {
        match self {
            Self::Get => 200,
            Self::CreateOrder => 201,
        }
    }

    /// The request as it is sent.
    pub(super) fn text(self, address: SocketAddr) -> String {
        match self {
            Self::Get => format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n"),
            Self::CreateOrder => create_request(address, "", ORDER),
        }
    }
}
