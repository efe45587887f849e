//! Describes a server's errors in one line: a fixed text for everybody, and for the log what the server or the system says.
//!
//! Most errors that a server reports do not pass by themselves: a missing table, a revoked right, a value that is refused. They
//! are not remembered, because an operator can act on the server, and the next call asks it again. These pass:
//!
//! | SQLSTATE | because |
//! |---|---|
//! | 08 connection, 57P01 to 57P05 shutdown and start | the server restarts, or a failover is under way |
//! | 25006 read-only | a failover is under way: the next connection may reach the new primary |
//! | 40 rollback | another transaction was in the way |
//! | 53 resources: connections, disk, memory | there may be room again |
//! | 55P03, 55006 lock | another session ends |
//! | 57014 time limit | the server was slow |
//! | 58030 I/O | the server may recover, or fail over |
//!
//! What is no response of the server passes, too, but for a server without TLS and a certificate that is refused.

use std::{
    error::Error as _,
    fmt,
    io::{self, ErrorKind},
    time::Duration,
};

use rustls::{CertificateError, OtherError, pki_types::UnixTime};
use tokio_postgres::{
    Error,
    error::{DbError, SqlState},
};

use crate::store::contract::{Reason, StoreError};

/// Describes the error and, where known, its remedy. For the log.
pub(super) fn describe(error: &Error) -> String {
    reason(error).to_string()
}

/// Describes the error and, where known, its remedy.
pub(super) fn reason(error: &Error) -> Reason {
    let Some(server) = error.as_db_error() else { return connection_reason(error) };
    let reason = server_reason(server);
    if persists(server.code()) { reason.into_persisting() } else { reason }
}

fn server_reason(server: &DbError) -> Reason {
    match *server.code() {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            Reason::new("the server rejected the user name or password")
        }
        SqlState::INVALID_CATALOG_NAME => Reason::new("the database does not exist on the server; create it"),
        SqlState::TOO_MANY_CONNECTIONS => Reason::new("the server has reached its connection limit"),
        SqlState::READ_ONLY_SQL_TRANSACTION => Reason::new(READ_ONLY),
        SqlState::LOCK_NOT_AVAILABLE => Reason::new("another session holds a lock that the call needs"),
        SqlState::QUERY_CANCELED => Reason::new("the statement exceeded its time limit on the server"),
        SqlState::INSUFFICIENT_PRIVILEGE => {
            Reason::new("the user lacks a privilege").with_detail(server.message())
        }
        ref code => {
            let detail = format_args!("{} (SQLSTATE {})", server.message(), code.code()).to_string();
            Reason::new("the server reported an error").with_detail(detail)
        }
    }
}

/// Whether the error that the server reports does not pass by itself, as the table above has it.
fn persists(code: &SqlState) -> bool {
    let code = code.code();
    let passes = ["08", "40", "53", "57P"].iter().any(|class| code.starts_with(class))
        || ["25006", "55006", "55P03", "57014", "58030"].contains(&code);
    !passes
}

const READ_ONLY: &str = "the server is read-only";

/// Describes an error that the server has not reported.
fn connection_reason(error: &Error) -> Reason {
    if error.is_closed() {
        return Reason::new("the connection was closed");
    }
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    if let Some(tls) = cause.and_then(io::Error::get_ref).and_then(|cause| cause.downcast_ref()) {
        let reason = tls_reason(tls);
        // Other errors of TLS, such as a connection that ends in the middle, are those of a server that restarts.
        let is_refused = matches!(tls, rustls::Error::InvalidCertificate(_));
        return if is_refused { reason.into_persisting() } else { reason };
    }
    if error.source().is_some_and(|cause| cause.to_string() == "server does not support TLS") {
        return Reason::persisting(
            "the server does not support TLS; enable it there, or choose another sslmode",
        );
    }
    let public = match cause.map(io::Error::kind) {
        // The library reports so that the server takes no writes.
        Some(ErrorKind::PermissionDenied) if cause.is_some_and(|cause| cause.get_ref().is_some()) => {
            return Reason::new(READ_ONLY);
        }
        Some(ErrorKind::TimedOut) => "the server did not respond in time",
        Some(_) => "the server cannot be reached",
        None => "the connection to the server failed",
    };
    Reason::new(public).with_detail(with_causes(error))
}

/// Describes an error of TLS, mostly a certificate that was refused.
fn tls_reason(error: &rustls::Error) -> Reason {
    use CertificateError as Bad;
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return Reason::new("TLS with the server failed").with_detail(error);
    };
    match certificate {
        Bad::UnknownIssuer => Reason::new(
            "no trusted authority has signed the server's certificate; name the file of its root certificate with sslrootcert",
        ),
        Bad::BadSignature => Reason::new(
            "no certificate in sslrootcert has signed the server's certificate, but perhaps another authority of the same \
             name; name the file of its root certificate",
        ),
        Bad::NotValidForName => Reason::new(WRONG_NAME),
        Bad::NotValidForNameContext { expected, presented } => {
            let presented: Vec<_> = presented.iter().map(|name| plain_name(name)).collect();
            let presented = or_nobody(&presented.join(", ")).to_owned();
            Reason::new(WRONG_NAME)
                .with_detail(format_args!("it is for {presented}, not for {}", expected.to_str()))
        }
        Bad::Expired => Reason::new(EXPIRED),
        Bad::ExpiredContext { time, not_after } => {
            Reason::new(EXPIRED).with_detail(format_args!("{} ago", between(*not_after, *time)))
        }
        Bad::NotValidYet => Reason::new(NOT_VALID_YET),
        Bad::NotValidYetContext { time, not_before } => Reason::new(NOT_VALID_YET)
            .with_detail(format_args!("it will be in {}", between(*time, *not_before))),
        Bad::UnsupportedSignatureAlgorithmContext { .. }
        | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Reason::new(
            "the server's certificate is signed with an algorithm that is not accepted; renew it with SHA-256 and an \
             RSA key of 2048 bits or more, or an elliptic curve",
        ),
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => Reason::new(
            "the server's certificate, or one of its authorities, is not for servers; renew it with the extended key \
             usage serverAuth, or without one",
        ),
        Bad::Other(OtherError(why)) => Reason::new(NOT_ACCEPTED).with_detail(why),
        other => Reason::new(NOT_ACCEPTED).with_detail(format_args!("{other:?}")),
    }
}

const WRONG_NAME: &str =
    "the server's certificate is for another host; connect with a name that it contains, or renew it";
const EXPIRED: &str = "the server's certificate has expired; renew it";
const NOT_VALID_YET: &str = "the server's certificate is not valid yet; check the clocks of both machines";
const NOT_ACCEPTED: &str = "the server's certificate is not valid; renew it";

fn between(from: UnixTime, to: UnixTime) -> impl fmt::Display {
    humantime::format_duration(Duration::from_secs(to.as_secs().saturating_sub(from.as_secs())))
}

/// A host name or an address, without what the library writes around it, such as `DnsName("db.example")`.
fn plain_name(name: &str) -> &str {
    let inner = name.strip_prefix("DnsName(").or_else(|| name.strip_prefix("IpAddress("));
    inner.and_then(|inner| inner.strip_suffix(')')).map_or(name, |inner| inner.trim_matches('"'))
}

fn or_nobody(names: &str) -> &str {
    if names.is_empty() { "no host" } else { names }
}

/// The error and its causes, outermost first.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
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
        reason(&error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_has_to_mend_does_not_pass_by_itself() {
        for code in ["28P01", "3D000", "42P01", "42501", "42883", "0A000", "22021", "23505", "XX001", "ZZZZZ"]
        {
            assert!(persists(&SqlState::from_code(code)), "{code}");
        }
        for code in ["08006", "25006", "40001", "40P01", "53100", "53300", "55P03", "57014", "57P03", "58030"]
        {
            assert!(!persists(&SqlState::from_code(code)), "{code}");
        }
    }

    #[test]
    fn the_names_of_a_certificate_are_plain() {
        let presented =
            [r#"DnsName("db.example")"#, r#"DnsName("*.db.example")"#, "IpAddress(192.0.2.1)", "a (b)"];
        let error = CertificateError::NotValidForNameContext {
            expected: "localhost".try_into().unwrap(),
            presented: presented.map(str::to_owned).to_vec(),
        };
        let reason = tls_reason(&error.into()).to_string();
        let says = "it is for db.example, *.db.example, 192.0.2.1, a (b), not for localhost";
        assert!(reason.contains(says), "{reason}");
    }
}
