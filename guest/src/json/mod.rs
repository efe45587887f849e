//! JSON. Request bodies are checked as a whole and then read level by level, as typed members; stored objects keep the text of
//! their members; pages are written.
//!
//! | File | Contents |
//! |---|---|
//! | `name` | quotes the name of a member in an error message |
//! | `number` | `Number`: whole or not, decided from its digits |
//! | `value` | `Value`: a value of a document |
//! | `parse` | `parse`: checks a text |
//! | `errors` | `FieldErrors`: the errors of a document, each with a JSON Pointer |
//! | `decode` | decoders that turn values into typed members and record every error |
//! | `object` | `Object`: a stored object, whose members keep their text |
//! | `page` | `PageWriter`: writes the JSON of a page, item by item |

pub(crate) mod decode;
mod errors;
mod name;
mod number;
mod object;
mod page;
mod parse;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use self::errors::{FieldError, FieldErrors, Path};
pub(crate) use self::name::quote_name;
pub(crate) use self::object::Object;
pub(crate) use self::page::PageWriter;
pub(crate) use self::parse::parse;
pub(crate) use self::value::Value;
