//! Decoders for values: each takes a value, its path and the list of errors.
//!
//! A decoder returns `None` if and only if it has recorded an error, so that the caller can continue and find more.

use super::errors::{FieldErrors, Path};
use super::value::{Member, Value};

/// The state of a member while its object is decoded: `None` if absent so far, `Some(None)` if invalid.
pub(crate) type Slot<T> = Option<Option<T>>;

/// The value of a required member; records an error if it is absent.
pub(crate) fn require_member<T>(
    slot: Slot<T>,
    object: &Path<'_>,
    name: &str,
    errors: &mut FieldErrors,
) -> Option<T> {
    if slot.is_none() {
        errors.add(&object.member(name), "is required");
    }
    slot.flatten()
}

/// Decodes an object into its members.
pub(crate) fn decode_object<'text>(
    value: Value<'text>,
    path: &Path<'_>,
    errors: &mut FieldErrors,
) -> Option<Vec<Member<'text>>> {
    match value {
        Value::Object(members) => Some(members),
        other => type_mismatch("an object", &other, path, errors),
    }
}

/// Decodes an array into its first elements and the number of all: see [`Value::Array`].
pub(crate) fn decode_array<'text>(
    value: Value<'text>,
    path: &Path<'_>,
    errors: &mut FieldErrors,
) -> Option<(Vec<Value<'text>>, usize)> {
    match value {
        Value::Array(elements, count) => Some((elements, count)),
        other => type_mismatch("an array", &other, path, errors),
    }
}

/// Decodes a string into a type that validates it.
pub(crate) fn decode_text<T>(value: Value<'_>, path: &Path<'_>, errors: &mut FieldErrors) -> Option<T>
where
    T: TryFrom<String, Error = &'static str>,
{
    match value {
        Value::String(text) => record_error(T::try_from(text.into_owned()), path, errors),
        other => type_mismatch("a string", &other, path, errors),
    }
}

/// Decodes a whole number into a type that validates it.
pub(crate) fn decode_number<T>(value: &Value<'_>, path: &Path<'_>, errors: &mut FieldErrors) -> Option<T>
where
    T: TryFrom<i64, Error = &'static str>,
{
    match value {
        Value::Number(Some(number)) => record_error(T::try_from(*number), path, errors),
        other => type_mismatch("a whole number", other, path, errors),
    }
}

/// The value of a result; records its error, which is the text of the broken rule.
pub(crate) fn record_error<T>(
    result: Result<T, &'static str>,
    path: &Path<'_>,
    errors: &mut FieldErrors,
) -> Option<T> {
    result.map_err(|rule| errors.add(path, rule)).ok()
}

fn type_mismatch<T>(
    expected: &str,
    actual: &Value<'_>,
    path: &Path<'_>,
    errors: &mut FieldErrors,
) -> Option<T> {
    errors.add_with(path, || format!("must be {expected}, not {}", actual.type_name()).into());
    None
}
