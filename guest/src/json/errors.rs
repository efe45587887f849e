//! The errors of a document, each with its position.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

use super::name::truncated_name;

/// The maximum number of errors in a response. A client with more errors repeats the same mistakes.
const MAX_ERRORS: usize = 50;

/// An error in one part of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FieldError {
    /// The location: a JSON Pointer (RFC 6901).
    pub(crate) pointer: String,
    /// The rule that the value breaks.
    pub(crate) detail: Cow<'static, str>,
}

/// The errors in one document, in the order found: members by name, then missing members.
#[derive(Debug, Default)]
pub(crate) struct FieldErrors {
    list: Vec<FieldError>,
    truncated: bool,
}

impl FieldErrors {
    /// Records an error at a path.
    ///
    /// The last name in the path comes from the client and may be long. The error for a long name points to the enclosing
    /// object, and its text quotes the start of the name.
    pub(crate) fn add(&mut self, path: &Path<'_>, detail: &'static str) {
        self.add_with(path, || detail.into());
    }

    /// Like [`add`](Self::add). The text is made only if there is room for it.
    pub(crate) fn add_with(&mut self, path: &Path<'_>, detail: impl FnOnce() -> Cow<'static, str>) {
        if self.list.len() == MAX_ERRORS {
            self.truncated = true;
            return;
        }
        let detail = detail();
        self.list.push(match path {
            Path::Member(parent, name) if let Some(start) = truncated_name(name) => FieldError {
                pointer: parent.pointer(),
                detail: format!("the member {start:?}… of this object {detail}").into(),
            },
            _ => FieldError { pointer: path.pointer(), detail },
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether there are more errors than are kept, so that looking for others is in vain.
    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The errors, at most [`MAX_ERRORS`], and whether there were more.
    pub(crate) fn into_parts(self) -> (Vec<FieldError>, bool) {
        (self.list, self.truncated)
    }
}

/// A location in a document. Its text is built only when an error is recorded there.
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

    /// The location as a JSON Pointer, with `~` escaped as `~0` and `/` as `~1` (RFC 6901 §3).
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
