//! From a tree to what it says, noting every fault on the way.
//!
//! A decoder takes a value, where it stands, and the list of faults. It returns `None` exactly if it has
//! noted a fault, so that the next one can go on and find more.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

use super::{Member, Value, beginning};

/// How many faults an answer lists. A client that makes more has made the same ones again and again.
const MAX_FAULTS: usize = 50;

/// What is wrong with one part of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// Where: a JSON Pointer (RFC 6901).
    pub(crate) pointer: String,
    /// What must hold there.
    pub(crate) detail: Cow<'static, str>,
}

/// The faults of one document, in the order found: objects by member name, missing members last.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    list: Vec<Fault>,
    more: bool,
}

impl Faults {
    /// Notes that a rule does not hold at this place.
    ///
    /// The last name of the place may be anything a client sent. If it is longer than an answer repeats, the
    /// fault is noted at the object around it, and its beginning is told.
    pub(crate) fn add(&mut self, path: &Path<'_>, detail: impl Into<Cow<'static, str>>) {
        if self.list.len() == MAX_FAULTS {
            self.more = true;
            return;
        }
        let detail = detail.into();
        self.list.push(match path {
            Path::Member(parent, name) if let Some(beginning) = beginning(name) => Fault {
                pointer: parent.pointer(),
                detail: format!("the member {beginning:?}… of this object {detail}").into(),
            },
            _ => Fault { pointer: path.pointer(), detail },
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The faults, at most [`MAX_FAULTS`], and whether there are more.
    pub(crate) fn into_parts(self) -> (Vec<Fault>, bool) {
        (self.list, self.more)
    }
}

/// A place in a document. Costs nothing until a fault is noted there.
#[derive(Clone, Copy)]
pub(crate) enum Path<'path> {
    Root,
    Member(&'path Path<'path>, &'path str),
    Element(&'path Path<'path>, usize),
}

impl<'path> Path<'path> {
    pub(crate) fn member(&'path self, name: &'path str) -> Self {
        Path::Member(self, name)
    }

    pub(crate) fn element(&'path self, index: usize) -> Self {
        Path::Element(self, index)
    }

    /// The place as a JSON Pointer: `~` is written `~0`, `/` is written `~1` (RFC 6901 §3).
    fn pointer(&self) -> String {
        let mut pointer = match self {
            Path::Root => return String::new(),
            Path::Member(parent, _) | Path::Element(parent, _) => parent.pointer(),
        };
        pointer.push('/');
        match self {
            Path::Root => {}
            Path::Member(_, name) => {
                for character in name.chars() {
                    match character {
                        '~' => pointer.push_str("~0"),
                        '/' => pointer.push_str("~1"),
                        _ => pointer.push(character),
                    }
                }
            }
            // Writing to a string cannot fail.
            Path::Element(_, index) => _ = write!(pointer, "{index}"),
        }
        pointer
    }
}

/// A member while its object is read: `None` if it has not been met, `Some(None)` if it has a fault.
pub(crate) type Slot<T> = Option<Option<T>>;

/// What a required member holds.
pub(crate) fn required<T>(slot: Slot<T>, object: &Path<'_>, name: &str, faults: &mut Faults) -> Option<T> {
    if slot.is_none() {
        faults.add(&object.member(name), "is required");
    }
    slot.flatten()
}

/// The members of an object.
pub(crate) fn object<'text>(
    value: Value<'text>,
    path: &Path<'_>,
    faults: &mut Faults,
) -> Option<Vec<Member<'text>>> {
    match value {
        Value::Object(members) => Some(members),
        other => mismatch("an object", &other, path, faults),
    }
}

/// The elements of an array.
pub(crate) fn array<'text>(
    value: Value<'text>,
    path: &Path<'_>,
    faults: &mut Faults,
) -> Option<Vec<Value<'text>>> {
    match value {
        Value::Array(elements) => Some(elements),
        other => mismatch("an array", &other, path, faults),
    }
}

/// A string, as the type whose rule it must keep.
pub(crate) fn text<T>(value: Value<'_>, path: &Path<'_>, faults: &mut Faults) -> Option<T>
where
    T: TryFrom<String, Error = &'static str>,
{
    match value {
        Value::String(text) => noted(T::try_from(text.into_owned()), path, faults),
        other => mismatch("a string", &other, path, faults),
    }
}

/// A whole number, as the type whose rule it must keep.
pub(crate) fn number<T>(value: &Value<'_>, path: &Path<'_>, faults: &mut Faults) -> Option<T>
where
    T: TryFrom<i64, Error = &'static str>,
{
    match value {
        Value::Integer(number) => noted(T::try_from(*number), path, faults),
        other => mismatch("a whole number", other, path, faults),
    }
}

/// The value of a result whose error is a rule that does not hold here.
pub(crate) fn noted<T>(result: Result<T, &'static str>, path: &Path<'_>, faults: &mut Faults) -> Option<T> {
    result.map_err(|rule| faults.add(path, rule)).ok()
}

fn mismatch<T>(expected: &str, found: &Value<'_>, path: &Path<'_>, faults: &mut Faults) -> Option<T> {
    faults.add(path, format!("must be {expected}, not {}", found.kind()));
    None
}
