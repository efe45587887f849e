//! One connection, from its first byte to the statements it has prepared.

use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::{Client, Connection, Error, Socket, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{address::Address, statements::Statements};

/// The side of a connection that moves bytes; it has to be polled for anything to happen.
pub(super) type Driver = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A connection that is ready for calls. They go out without waiting for one another, and are answered in their order.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) statements: Statements,
    given_up: Notify,
}

impl Session {
    /// Connects and prepares. `timeout` is what one statement may take on the server.
    pub(super) async fn connect(address: &Address, timeout: Duration) -> Result<(Self, Driver), Error> {
        let (client, mut driver) = connect(address, timeout).await?;
        let statements = drive(&mut driver, Statements::prepare(&client)).await?;
        Ok((Self { client, statements, given_up: Notify::new() }, driver))
    }

    /// The connection alone.
    pub(super) fn into_client(self) -> Client {
        self.client
    }

    /// Ends the connection, and whatever waits for an answer on it.
    pub(super) fn give_up(&self) {
        self.given_up.notify_one();
    }

    /// Waits until somebody has given it up.
    pub(super) async fn given_up(&self) {
        self.given_up.notified().await;
    }
}

/// Connects and sets what every session of ours needs.
pub(super) async fn connect(address: &Address, timeout: Duration) -> Result<(Client, Driver), Error> {
    let (client, mut driver) = address.config.connect(address.tls.clone()).await?;
    drive(&mut driver, client.batch_execute(&settings(timeout))).await?;
    Ok((client, driver))
}

/// Does something with a client while its connection has nobody else to move its bytes.
pub(super) async fn drive<T>(
    driver: &mut Driver,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => done,
        // Its end has also been told to the client, which words it; an end without an error is the server's.
        ended = driver => match ended {
            Err(error) => Err(error),
            Ok(()) => work.await,
        },
    }
}

/// What a session needs, whatever the server's own settings are.
///
/// - A statement of a procedure sees what was committed before it began; with a stricter isolation it would see what was
///   committed before the procedure waited for its turn.
/// - What is acknowledged is durable, unless the server promises more than that.
/// - A statement that takes too long is ended by the server, a little before we give the connection up.
/// - Every statement finds its rows by their keys. Plans are made once, when the tables may still be empty; without these
///   settings they could be plans to read everything.
fn settings(timeout: Duration) -> String {
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
