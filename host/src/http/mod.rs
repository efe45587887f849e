//! The public side: connections, limits, and the path of a request to the serving module.
//!
//! | file | what it does |
//! |---|---|
//! | [`reading`] | how fast a client reads a response |
//! | [`pace`] | how fast a client sends a body |
//! | [`body_budget`] | the memory for the bodies of all requests |
//! | [`limits`] | admission of requests, the bounds of a head and a body, the deadline |
//! | [`metered_body`] | the body of a request as it arrives, and the bounds of its framing |
//! | [`rejection`] | the only place where an error becomes a status |
//! | [`authority`] | whether a host and a port are valid |
//! | [`head`] | the checks of a request head |
//! | [`readiness`] | whether the store works, for `/ready` |
//! | [`health`] | `/health` and `/ready` |
//! | [`explorer`] | `/docs`: an API explorer for `/openapi.json` |
//! | [`response`] | a response in transit, and its record in the access log |
//! | [`service`] | the steps of a request, in order |
//! | [`departure`] | whether the client of a request in progress has left |
//! | [`activity`] | the activity of a connection, with its timeout |
//! | [`socket`] | the socket of a connection, which reports to its activity tracker |
//! | [`final_response`] | the response on a connection whose request could not be read |
//! | [`connection`] | one connection, from its first byte to its close |
//! | [`listener`] | accepts connections, and closes without losing one |

pub mod activity;
pub mod authority;
pub mod body_budget;
pub mod connection;
pub mod departure;
pub mod explorer;
pub mod final_response;
pub mod head;
pub mod health;
pub mod limits;
pub mod listener;
pub mod metered_body;
pub mod pace;
pub mod readiness;
pub mod reading;
pub mod rejection;
pub mod response;
pub mod service;
pub mod socket;
