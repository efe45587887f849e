//! Every error, as a problem document (RFC 9457).
//!
//! Clients see only the fixed texts in this folder and the detail given where the problem is created. The internal cause
//! goes to [`Response::cause`](crate::platform::Response::cause) and is logged.
//!
//! | File | Contents |
//! |---|---|
//! | `kind` | `Kind`: the kinds of problem, and the page that explains each |
//! | `document` | `Problem`: one error, and the conversions from the errors of other modules |

mod document;
mod kind;

pub(crate) use self::document::Problem;
pub(crate) use self::kind::Kind;
