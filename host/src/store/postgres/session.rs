//! One connection with its prepared statements.

use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::{Client, Connection, Error, Socket, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{address::Address, statements::Statements};

/// The half of a connection that moves its bytes; nothing happens unless it is polled.
pub(super) type Driver = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A connection that is ready for calls. Calls are pipelined, and replies arrive in the same order.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) statements: Statements,
    abandoned: Notify,
}

impl Session {
    /// Connects and prepares the statements. `timeout` is the time limit of a statement on the server.
    pub(super) async fn connect(address: &Address, timeout: Duration) -> Result<(Self, Driver), Error> {
        let (client, mut driver) = connect(address, timeout).await?;
        let statements = drive(&mut driver, Statements::prepare(&client)).await?;
        Ok((Self { client, statements, abandoned: Notify::new() }, driver))
    }

    /// Returns the client without the statements.
    pub(super) fn into_client(self) -> Client {
        self.client
    }

    /// Ends the connection. Calls that wait for a reply fail.
    pub(super) fn abandon(&self) {
        self.abandoned.notify_one();
    }

    /// Waits until the session is abandoned.
    pub(super) async fn abandoned(&self) {
        self.abandoned.notified().await;
    }
}

/// Connects and applies the settings of a session.
pub(super) async fn connect(address: &Address, timeout: Duration) -> Result<(Client, Driver), Error> {
    let (client, mut driver) = address.config.connect(address.tls.clone()).await?;
    drive(&mut driver, client.batch_execute(&session_settings(timeout))).await?;
    Ok((client, driver))
}

/// Runs a call while no other task drives the connection.
pub(super) async fn drive<T>(
    driver: &mut Driver,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        result = &mut work => result,
        // The client has been notified too, and its error says why; an end without an error was caused by the server.
        ended = driver => match ended {
            Err(error) => Err(error),
            Ok(()) => work.await,
        },
    }
}

/// The settings that a session needs, whatever the server's defaults are.
///
/// - Read committed: a statement of a procedure sees what was committed before the statement began. A stricter
///   isolation level would show what was committed before the procedure waited for the lock.
/// - Acknowledged commits are durable. A stricter setting of the server stays in force.
/// - The server cancels a statement that takes too long, a little before this program abandons the connection.
/// - Every statement finds its rows by key. Plans are made once, when the tables may still be empty; without these
///   settings, the server might choose full scans.
fn session_settings(timeout: Duration) -> String {
    let limit = (timeout * 9 / 10).as_millis().max(1);
    format!(
        "SET search_path = pg_catalog; \
         SET default_transaction_isolation = 'read committed'; \
         SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off'; \
         SET statement_timeout = {limit}; \
         SET lock_timeout = 0; \
         SET idle_in_transaction_session_timeout = {limit}; \
         SET plan_cache_mode = force_generic_plan; \
         SET enable_seqscan = off; SET enable_bitmapscan = off; \
         SET enable_hashjoin = off; SET enable_mergejoin = off; \
         SET jit = off"
    )
}
