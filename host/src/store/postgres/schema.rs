//! What the database contains, how it gets there, and which versions of it and of this program go together.
//!
//! Everything lies in a schema of its own. Changes to it are made in one transaction, under a lock, so that processes that
//! start at the same time make them once; nothing is written where there is nothing to change.

use std::time::Duration;

use tokio_postgres::{Client, Error};

use super::{
    address::Address,
    session::{connect, drive},
    words,
};
use crate::store::backend::Missing;

/// The layout below.
const VERSION: i32 = 1;
/// The oldest server that can do what is asked of it; older ones are no longer maintained either.
const OLDEST_SERVER: i32 = 130_000;

/// Held while the schema is looked at and changed: "ORDS" in ASCII, and a number.
const LOCK_SCHEMA: &str = "SELECT pg_advisory_xact_lock(x'4F52445300000001'::bigint)";

/// Version 1.
///
/// - Keys are bytes: they compare bytewise whatever the database's collation, and may hold any character, which a `text`
///   may not.
/// - `version` has one row. A program that knows only an older version goes on working if that is at least
///   `usable_from`.
/// - `commit_1` takes the commits of one call, which touch different keys, and gives for each its revision, or the
///   place of its first check that fails, negative. Whoever comes to have the turn sees all that was committed before, for
///   each statement has a snapshot of its own, taken after the lock was. It commits by itself: otherwise the turn would
///   last until the last bytes of the call have arrived, which a network may lose. Without commits it only takes its turn,
///   on a server that takes writes.
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

/// Sees to it that the database has what a store needs, or refuses one without.
///
/// # Errors
///
/// One line; the database is then as it was.
pub(super) async fn open(address: &Address, missing: Missing, timeout: Duration) -> Result<(), String> {
    let explain = |error: Error| words::explain(&error);
    let (client, mut driver) = connect(address, timeout).await.map_err(explain)?;
    let opened = drive(&mut driver, async { Ok(make(&client, missing).await) }).await.map_err(explain)?;
    // Says goodbye. Whether the server hears it does not matter.
    drop(client);
    let _ = driver.await;
    opened
}

async fn make(client: &Client, missing: Missing) -> Result<(), String> {
    let explain = |error: Error| words::explain(&error);
    let version = client.query_one("SELECT current_setting('server_version_num')::integer", &[]).await;
    let server: i32 = version.and_then(|row| row.try_get(0)).map_err(explain)?;
    if server < OLDEST_SERVER {
        return Err(format!(
            "the server is PostgreSQL {}, at least {} is needed",
            server / 10_000,
            OLDEST_SERVER / 10_000
        ));
    }
    if is_there(client).await? {
        return Ok(());
    }
    if missing == Missing::Refuse {
        return Err("there is none in this database; name the database of one".to_owned());
    }
    client.batch_execute("BEGIN").await.map_err(explain)?;
    client.batch_execute(LOCK_SCHEMA).await.map_err(explain)?;
    if !is_there(client).await? {
        let exists = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'orders_state')";
        let exists: bool =
            client.query_one(exists, &[]).await.and_then(|row| row.try_get(0)).map_err(explain)?;
        if !exists {
            client.batch_execute("CREATE SCHEMA orders_state").await.map_err(explain)?;
        }
        client.batch_execute(MIGRATE_TO_1).await.map_err(explain)?;
        tracing::info!(version = VERSION, "the store's schema was made");
    }
    client.batch_execute("COMMIT").await.map_err(explain)
}

/// Whether the schema is there, in a version that this program can use.
async fn is_there(client: &Client) -> Result<bool, String> {
    let explain = |error: Error| words::explain(&error);
    // Not `to_regclass`: what it has not found, it may go on not finding until the transaction ends.
    let exists = "SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
        WHERE nspname = 'orders_state' AND relname = 'version')";
    if !client.query_one(exists, &[]).await.and_then(|row| row.try_get(0)).map_err(explain)? {
        return Ok(false);
    }
    let rows = client.query("SELECT version, usable_from FROM orders_state.version", &[]).await;
    let rows = rows.map_err(explain)?;
    let [row] = rows.as_slice() else {
        return Err("its schema orders_state has no version; restore it, or name another database".to_owned());
    };
    let version: i32 = row.try_get(0).map_err(explain)?;
    let usable_from: i32 = row.try_get(1).map_err(explain)?;
    if version < VERSION || usable_from > VERSION {
        return Err(format!(
            "it has schema version {version}, which programs from version {usable_from} on can use; this \
             one knows version {VERSION}: run another one"
        ));
    }
    Ok(true)
}
