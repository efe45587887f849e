//! The public side: connections, limits, and the path of a request to the serving module.
//!
//! | file | what it does |
//! |---|---|
//! | [`limits`] | admission of requests, the bounds of a head and a body, the deadline |
//! | [`metered_body`] | the body of a request as it arrives, and the bounds of its framing |
//! | [`rejection`] | the only place where an error becomes a status |
//! | [`authority`] | whether a host and a port are valid |
//! | [`head`] | the checks of a request head |
//! | [`health`] | `/health` and `/ready` |
//! | [`explorer`] | `/docs`: an API explorer for `/openapi.json` |
//! | [`peer`] | where a request comes from, with what trusted load balancers say |
//! | [`access`] | the access log |
//! | [`response`] | a response in transit |
//! | [`service`] | the steps of a request, in order |
//! | [`reading`] | how fast a client reads a response |
//! | [`activity`] | the activity of a connection, with its timeout |
//! | [`socket`] | the socket of a connection, which reports to its activity tracker |
//! | [`final_response`] | the response on a connection whose request could not be read |
//! | [`connection`] | one connection, from its first byte to its close |
//! | [`listener`] | accepts connections, and closes without losing one |

pub mod access;
pub mod activity;
pub mod authority;
pub mod connection;
pub mod explorer;
pub mod final_response;
pub mod head;
pub mod health;
pub mod limits;
pub mod listener;
pub mod metered_body;
pub mod peer;
pub mod reading;
pub mod rejection;
pub mod response;
pub mod service;
pub mod socket;
