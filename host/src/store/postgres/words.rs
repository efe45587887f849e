//! How a server's errors are worded: one line, without the names and values that a server may tell of.

use std::error::Error as _;

use tokio_postgres::{Error, error::SqlState};

use crate::store::contract::StoreError;

/// What went wrong, and what would be right where that is known.
pub(super) fn explain(error: &Error) -> String {
    let Some(server) = error.as_db_error() else {
        if error.is_closed() {
            return "the connection was closed".to_owned();
        }
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            words = format!("{words}: {error}");
            cause = error.source();
        }
        return one_line(&words);
    };
    if is_refused_login(error) {
        return "the server refused the user or the password".to_owned();
    }
    let words = match *server.code() {
        SqlState::INVALID_CATALOG_NAME => "the server has no such database; create it".to_owned(),
        SqlState::TOO_MANY_CONNECTIONS => "the server has as many connections as it can take".to_owned(),
        SqlState::READ_ONLY_SQL_TRANSACTION => "the server takes no writes".to_owned(),
        SqlState::QUERY_CANCELED => "the server did not get it done in time".to_owned(),
        SqlState::INSUFFICIENT_PRIVILEGE => format!("the user may not do that: {}", server.message()),
        ref code => format!("{} (SQLSTATE {})", server.message(), code.code()),
    };
    one_line(&words)
}

/// Whether another password may help.
pub(super) fn is_refused_login(error: &Error) -> bool {
    matches!(error.code(), Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION))
}

/// Whether a session is of no more use: the next one may find a server that takes writes.
pub(super) fn is_lost_primary(error: &Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// The words without whatever would end a line.
pub(super) fn one_line(words: &str) -> String {
    words.replace(char::is_control, " ")
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        if error.code() == Some(&SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED) {
            return Self::out_of_revisions();
        }
        Self::Unavailable(format!("PostgreSQL: {}", explain(&error)))
    }
}
