//! JSON. Request bodies are read as a tree of values, and the tree as typed members; stored objects keep the text of their members;
//! pages are written.
//!
//! | File | Contents |
//! |---|---|
//! | `name` | quotes the name of a member in an error message |
//! | `number` | `Number`: whole or not, decided from its digits |
//! | `text` | deserialization that copies no text |
//! | `value` | `Value`: the tree |
//! | `parse` | `parse`: text to a tree |
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
mod text;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use self::errors::{FieldError, FieldErrors, Path};
pub(crate) use self::name::quote_name;
pub(crate) use self::object::Object;
pub(crate) use self::page::PageWriter;
pub(crate) use self::parse::parse;
pub(crate) use self::value::Value;
