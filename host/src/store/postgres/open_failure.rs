//! Why a database could not be opened, and whether that may pass by itself.

use std::{error::Error as _, io, time::Duration};

use tokio_postgres::{Error, error::SqlState};

use super::errors;
use crate::{config::PostgresUrl, store::backend::OpenError};

/// Classes of SQLSTATE that say nothing about the settings of this program: connection exceptions, insufficient resources
/// (also too many connections), operator intervention (also a server that starts or shuts down).
const PASSING_CLASSES: [&str; 3] = ["08", "53", "57"];

/// Why a database could not be opened.
#[derive(Debug)]
pub(super) struct OpenFailure {
    /// One line, without a secret.
    why: String,
    /// Whether the same attempt may succeed later.
    may_pass: bool,
}

impl OpenFailure {
    /// A problem that may pass by itself.
    pub(super) fn passing(why: String) -> Self {
        Self { why, may_pass: true }
    }

    /// The server did not respond in time.
    pub(super) fn no_response(limit: Duration) -> Self {
        Self::passing(format!("the server did not respond within {limit:?}"))
    }

    /// The error with the name of the store.
    pub(super) fn into_error(self, store: &PostgresUrl) -> OpenError {
        let text = format!("cannot open the store {store}: {}", errors::one_line(&self.why));
        if self.may_pass { OpenError::unreachable(text) } else { OpenError::permanent(text) }
    }
}

impl From<Error> for OpenFailure {
    fn from(error: Error) -> Self {
        Self { why: errors::describe(&error), may_pass: may_pass(&error) }
    }
}

/// A problem that somebody must correct.
impl From<String> for OpenFailure {
    fn from(why: String) -> Self {
        Self { why, may_pass: false }
    }
}

/// Whether the same attempt may succeed later.
fn may_pass(error: &Error) -> bool {
    if let Some(code) = error.code() {
        // A standby may be promoted; another process may be creating the schema.
        return [SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::LOCK_NOT_AVAILABLE].contains(code)
            || PASSING_CLASSES.iter().any(|class| code.code().starts_with(class));
    }
    if error.is_closed() {
        return true;
    }
    // Refused, reset, no route, no such name; also a server that does not accept writes. A certificate that is not trusted is
    // an error of rustls in one of these.
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| !cause.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()))
}
