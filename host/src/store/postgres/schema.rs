//! The database schema, its creation, and the compatibility of its versions with this program.
//!
//! Everything is in one dedicated PostgreSQL schema. Changes to it run in one transaction, under a lock, so that of
//! several processes that start at the same time only one makes them. Nothing is written if nothing has to change.

use std::time::Duration;

use tokio_postgres::Client;

use super::{
    address::Address,
    open_failure::OpenFailure,
    session::{Purpose, connect, drive},
};
use crate::store::backend::IfMissing;

/// The version of the layout below.
const VERSION: i32 = 1;
/// The oldest server version with the required features; older versions are no longer maintained either.
const OLDEST_SERVER: i32 = 130_000;

/// Locks the schema while it is checked and changed: "ORDS" in ASCII, and a number.
const LOCK_SCHEMA: &str = "SELECT pg_advisory_xact_lock(x'4F52445300000001'::bigint)";

/// Version 1.
///
/// - Keys are `bytea`: they compare bytewise whatever the database's collation is, and may contain any character,
///   which `text` may not.
/// - `version` has one row. A program that supports only an older version keeps working if its version is at least
///   `usable_from`.
/// - `commit_1` takes the commits of one call, which touch different keys. For each commit it returns the revision,
///   or the negated position of the first check that failed. After acquiring the lock, it sees everything that was
///   committed before, because each statement has its own snapshot, taken after the lock. The procedure commits
///   itself: otherwise it would hold the lock until the last bytes of the call have arrived, which a network may
///   lose. Called without commits, it only acquires the lock, on a server that accepts writes.
const MIGRATE_TO_1: &str = "
CREATE TABLE orders_state.version (
    version integer NOT NULL,
    usable_from integer NOT NULL
);
INSERT INTO orders_state.version VALUES (1, 1);

CREATE TABLE orders_state.entries (
    key bytea PRIMARY KEY,
    value bytea NOT NULL,
    revision bigint NOT NULL
) WITH (fillfactor = 90);

CREATE SEQUENCE orders_state.revision;

CREATE PROCEDURE orders_state.commit_1(
    commits integer,
    check_of integer[], check_key bytea[], check_revision bigint[],
    put_of integer[], put_key bytea[], put_value bytea[],
    delete_of integer[], delete_key bytea[],
    INOUT outcomes bigint[]
) LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_read_only')::boolean THEN
        RAISE EXCEPTION 'the server takes no writes' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    PERFORM pg_advisory_xact_lock(x'4F52445300000002'::bigint);

    SELECT array_agg(coalesce(-failing.place, nextval('orders_state.revision')) ORDER BY number)
    INTO outcomes
    FROM generate_series(1, commits) AS number
    LEFT JOIN (
        SELECT checked.of, min(checked.place) AS place
        FROM unnest(check_of, check_key, check_revision) WITH ORDINALITY
            AS checked (of, key, revision, place)
        LEFT JOIN orders_state.entries ON entries.key = checked.key
        WHERE entries.revision IS DISTINCT FROM checked.revision
        GROUP BY checked.of
    ) AS failing ON failing.of = number;
    outcomes := coalesce(outcomes, '{}');

    IF cardinality(delete_of) > 0 THEN
        DELETE FROM orders_state.entries
        USING unnest(delete_of, delete_key) AS deleted (of, key)
        WHERE entries.key = deleted.key AND outcomes[deleted.of] > 0;
    END IF;
    IF cardinality(put_of) > 0 THEN
        INSERT INTO orders_state.entries (key, value, revision)
        SELECT written.key, written.value, outcomes[written.of]
        FROM unnest(put_of, put_key, put_value) AS written (of, key, value)
        WHERE outcomes[written.of] > 0
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision;
    END IF;
    COMMIT;
END
$$;
";

/// Makes sure that the database contains a store, or rejects one without.
///
/// # Errors
///
/// [`OpenFailure`]. The database is unchanged then.
pub(super) async fn prepare(
    address: &Address,
    if_missing: IfMissing,
    timeout: Duration,
) -> Result<(), OpenFailure> {
    connected(address, timeout, async |client| create_if_missing(client, if_missing).await).await
}

/// Checks that [`prepare`] could succeed. Changes nothing.
///
/// # Errors
///
/// [`OpenFailure`], as for [`prepare`].
pub(super) async fn check(address: &Address, timeout: Duration) -> Result<(), OpenFailure> {
    connected(address, timeout, async |client| {
        check_version(client).await?;
        if is_usable(client).await? || may_create(client).await? {
            return Ok(());
        }
        Err(OpenFailure::from(
            "the database contains no store, and the user may not create one: grant CREATE on the database, or let its \
             owner start the service once"
                .to_owned(),
        ))
    })
    .await
}

/// Connects, runs `work`, and closes the connection.
async fn connected(
    address: &Address,
    timeout: Duration,
    work: impl AsyncFnOnce(&Client) -> Result<(), OpenFailure>,
) -> Result<(), OpenFailure> {
    let (client, mut driver) = connect(address, Purpose::Schema, timeout).await?;
    let doubts = driver.doubts();
    let done = drive(&mut driver, async { Ok(work(&client).await) }).await?;
    if driver.doubts() != doubts {
        let why = "the server cannot say that the new schema is replicated; try again";
        return Err(OpenFailure::passing(why.to_owned()));
    }
    // Closes the connection. Whether the server notices does not matter.
    drop(client);
    let _ = driver.await;
    done
}

async fn create_if_missing(client: &Client, if_missing: IfMissing) -> Result<(), OpenFailure> {
    check_version(client).await?;
    if is_usable(client).await? {
        return Ok(());
    }
    if if_missing == IfMissing::Fail {
        return Err(OpenFailure::from(
            "the database contains no store; name a database that does".to_owned(),
        ));
    }
    client.batch_execute("BEGIN").await?;
    client.batch_execute(LOCK_SCHEMA).await?;
    if !is_usable(client).await? {
        let exists = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'orders_state')";
        if !ask(client, exists).await? {
            client.batch_execute("CREATE SCHEMA orders_state").await?;
        }
        client.batch_execute(MIGRATE_TO_1).await?;
        tracing::info!(event = "store.schema_created", version = VERSION, "store schema created");
    }
    Ok(client.batch_execute("COMMIT").await?)
}

async fn check_version(client: &Client) -> Result<(), OpenFailure> {
    let version = client.query_one("SELECT current_setting('server_version_num')::integer", &[]).await;
    let server: i32 = version.and_then(|row| row.try_get(0))?;
    if server < OLDEST_SERVER {
        return Err(OpenFailure::from(format!(
            "the server runs PostgreSQL {}; version {} or later is required",
            server / 10_000,
            OLDEST_SERVER / 10_000
        )));
    }
    Ok(())
}

/// Whether the schema exists, in a version that this program supports.
async fn is_usable(client: &Client) -> Result<bool, OpenFailure> {
    // Not `to_regclass`, which may keep missing a table until the end of the transaction.
    let exists = "SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
        WHERE nspname = 'orders_state' AND relname = 'version')";
    if !ask(client, exists).await? {
        return Ok(false);
    }
    let rows = client.query("SELECT version, usable_from FROM orders_state.version", &[]).await?;
    let [row] = rows.as_slice() else {
        return Err(OpenFailure::from(
            "its schema orders_state has no version; restore it, or name another database".to_owned(),
        ));
    };
    let version: i32 = row.try_get(0)?;
    let usable_from: i32 = row.try_get(1)?;
    if version < VERSION || usable_from > VERSION {
        return Err(OpenFailure::from(format!(
            "it has schema version {version}, which requires a program that supports version {usable_from} or later; \
             this program supports version {VERSION}"
        )));
    }
    Ok(true)
}

/// Whether the user may create what the store needs.
async fn may_create(client: &Client) -> Result<bool, OpenFailure> {
    let allowed = "SELECT CASE WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname = 'orders_state') \
        THEN has_schema_privilege('orders_state', 'CREATE') \
        ELSE has_database_privilege(current_database(), 'CREATE') END";
    ask(client, allowed).await
}

/// The result of a query of one Boolean value.
async fn ask(client: &Client, query: &str) -> Result<bool, OpenFailure> {
    Ok(client.query_one(query, &[]).await?.try_get(0)?)
}
