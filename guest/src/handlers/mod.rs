//! One function for each operation.
//!
//! | File | Contents |
//! |---|---|
//! | `services` | `Services`: the store, the clock and the randomness that the handlers use |
//! | `input` | the parts of a request that several operations read |
//! | `output` | the parts of a response that several operations write |
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
