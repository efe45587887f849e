//! The service as the tests run it: over an in-memory store, with a controlled clock and reproducible randomness.
//!
//! | File | Contents |
//! |---|---|
//! | `bodies` | request bodies |
//! | `call` | [`Call`]: a request |
//! | `response` | [`TestResponse`]: a response, with assertions |
//! | `description` | checks every response against the API description |
//! | `store` | [`MemoryStore`]: a store that can fail and simulate concurrent requests |
//! | `service` | [`Service`]: the handlers with their store, clock and randomness |

mod bodies;
mod call;
mod description;
mod response;
mod service;
mod store;

pub(crate) use self::bodies::{full, large, minimal, padded, with, without};
pub(crate) use self::call::Call;
pub(crate) use self::description::{DESCRIPTION, documented, operation, resolve};
pub(crate) use self::response::{TestResponse, uuid_version};
pub(crate) use self::service::{NOON, Service};
pub(crate) use self::store::MemoryStore;
