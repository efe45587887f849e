//! One function for each operation.
//!
//! | File | Contents |
//! |---|---|
//! | `services` | `Services`: what the handlers use: store, clock and randomness |
//! | `input` | what several operations read from a request |
//! | `output` | what several operations write to a response |
//! | `documents` | the API description and the pages about problems |
//! | `read` | getting and listing orders and events |
//! | `create` | creating an order, with or without an idempotency key |
//! | `change` | changing the status, the notes or the metadata of an order |
//! | `dispatch` | `handle`: dispatches a request to its operation, and adds the headers of every response |

mod change;
mod create;
mod dispatch;
mod documents;
mod input;
mod output;
mod read;
mod services;

pub use self::dispatch::handle;
pub use self::services::Services;
