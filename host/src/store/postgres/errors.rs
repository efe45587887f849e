//! Describes a server's errors in one line, without the names and values that a server's error may contain.

use std::error::Error as _;

use tokio_postgres::{Error, error::SqlState};

use crate::store::contract::StoreError;

/// Describes the error and, where known, its remedy.
pub(super) fn describe(error: &Error) -> String {
    let Some(server) = error.as_db_error() else {
        if error.is_closed() {
            return "the connection was closed".to_owned();
        }
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        return one_line(&text);
    };
    if is_rejected_login(error) {
        return "the server rejected the user name or password".to_owned();
    }
    let text = match *server.code() {
        SqlState::INVALID_CATALOG_NAME => "the database does not exist on the server; create it".to_owned(),
        SqlState::TOO_MANY_CONNECTIONS => "the server has reached its connection limit".to_owned(),
        SqlState::READ_ONLY_SQL_TRANSACTION => "the server is read-only".to_owned(),
        SqlState::LOCK_NOT_AVAILABLE => "another session holds a lock that the call needs".to_owned(),
        SqlState::QUERY_CANCELED => "the statement exceeded its time limit on the server".to_owned(),
        SqlState::INSUFFICIENT_PRIVILEGE => format!("the user lacks a privilege: {}", server.message()),
        ref code => format!("{} (SQLSTATE {})", server.message(), code.code()),
    };
    one_line(&text)
}

/// Whether another user name or password may help.
fn is_rejected_login(error: &Error) -> bool {
    matches!(error.code(), Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION))
}

/// Whether the server is read-only. The session is then useless, but the next one may reach a server that accepts
/// writes.
pub(super) fn is_read_only(error: &Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// Replaces control characters, so that the text stays on one line.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        if error.code() == Some(&SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED) {
            return Self::out_of_revisions();
        }
        Self::Unavailable(format!("PostgreSQL: {}", describe(&error)))
    }
}
