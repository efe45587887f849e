//! The public side: connections, limits, and the path of a request to the module that serves.
//!
//! | file | what it does |
//! |---|---|
//! | [`limits`] | admission, the cap on bodies, the deadline |
//! | [`reject`] | the only place where an error becomes a status |
//! | [`head`] | what the head of a request must be |
//! | [`health`] | `/health` and `/ready` |
//! | [`explorer`] | `/docs`: an API explorer over `/openapi.json` |
//! | [`answer`] | a response on its way, and its line in the access log |
//! | [`service`] | the steps of a request, in order |
//! | [`clock`] | what a connection is doing, and how long it may |
//! | [`socket`] | the socket of a connection, watched by its clock |
//! | [`refusal`] | the response where no request could be read |
//! | [`connection`] | one connection, from its first byte to its close |
//! | [`workers`] | the threads that serve connections |
//! | [`listener`] | accepts connections, and closes without losing one |

pub mod answer;
pub mod clock;
pub mod connection;
pub mod explorer;
pub mod head;
pub mod health;
pub mod limits;
pub mod listener;
pub mod refusal;
pub mod reject;
pub mod service;
pub mod socket;
pub mod workers;
