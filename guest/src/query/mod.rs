//! The query of a request for a list: which page to return.
//!
//! | File | Contents |
//! |---|---|
//! | `encoding` | percent-encoding |
//! | `cursor` | cursors: where a page ended |
//! | `parameters` | the parameters of a query and their values |
//! | `pages` | `ListQuery` and [`EventQuery`] |

pub(crate) mod cursor;
mod encoding;
mod pages;
mod parameters;

pub(crate) use self::encoding::decode_unreserved;
pub(crate) use self::pages::{EventQuery, ListQuery};
pub(crate) use self::parameters::Parameters;
