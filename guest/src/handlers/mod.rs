//! One function for each operation, and one table of them.
//!
//! | File | Contents |
//! |---|---|
//! | `services` | `Services`: the store, the clock and the randomness that the handlers use |
//! | `input` | the parts of a request that several operations read |
//! | `output` | the parts of a response that several operations write |
//! | `preconditions` | `If-Match` and `If-None-Match` |
//! | `checked` | `Checked`: a request that has passed the checks of its row |
//! | `replay` | the response to an earlier request with the same idempotency key |
//! | `retry` | trying a change again that another request has overtaken |
//! | `documents` | the API description and the pages about problems |
//! | `read` | getting and listing orders and events |
//! | `create` | creating an order, with or without an idempotency key |
//! | `change` | changing the status, the notes or the metadata of an order |
//! | `routes` | the table of routes: for each operation, what is checked and which function runs |
//! | `answer` | the checks in the order of the contract |
//! | `dispatch` | `handle`: finds the operation of a request, and adds the headers of every response |

mod answer;
mod change;
mod checked;
mod create;
mod dispatch;
mod documents;
mod input;
mod output;
mod preconditions;
mod read;
mod replay;
mod retry;
mod routes;
mod services;

#[cfg(test)]
mod tests;

pub use self::dispatch::{fill_indexes, handle};
pub use self::services::Services;
