//! JSON. Request bodies are read as a tree of values, and the tree as typed members; pages are written.
//!
//! | File | Contents |
//! |---|---|
//! | `name` | quotes the name of a member in an error message |
//! | `value` | `Value`: the tree |
//! | `parse` | `parse`: text to a tree |
//! | `errors` | `FieldErrors`: the errors of a document, each with a JSON Pointer |
//! | `decode` | decoders that turn values into typed members and record every error |
//! | `page` | `PageWriter`: writes the JSON of a page, item by item |

pub(crate) mod decode;
mod errors;
mod name;
mod page;
mod parse;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use self::errors::{FieldError, FieldErrors, Path};
pub(crate) use self::name::quote_name;
pub(crate) use self::page::PageWriter;
pub(crate) use self::parse::parse;
pub(crate) use self::value::Value;
