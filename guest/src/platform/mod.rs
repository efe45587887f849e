//! The environment that the service needs, as traits: a WASI host, a native server or a test provides it.
//!
//! | File | Contents |
//! |---|---|
//! | `clock` | `Clock`, [`WallTime`] and [`Random`] |
//! | `request` | `Request` and [`Response`]: HTTP as the handlers see it |
//!
//! The store has its own folder: [`crate::store`].

mod clock;
mod request;

pub use self::clock::{Clock, Random, WallTime};
pub use self::request::{BodyError, Request, Response};
