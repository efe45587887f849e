//! The statements that every connection prepares.

use tokio_postgres::{Client, Error, Statement};

const GET_ONE: &str = "SELECT revision, value FROM orders_state.entries WHERE key = $1";

/// Values are omitted beyond the bytes that one call may transfer ($2). `octet_length` returns the length of a value
/// without reading it.
const GET_MANY: &str = "\
    SELECT place, carried, revision, CASE WHEN carried <= $2 THEN value END \
    FROM (SELECT wanted.place, entries.revision, entries.value, \
              sum(octet_length(entries.value)) OVER (ORDER BY wanted.place) AS carried \
          FROM unnest($1::bytea[]) WITH ORDINALITY AS wanted (key, place) \
          JOIN orders_state.entries ON entries.key = wanted.key) AS found \
    WHERE carried - octet_length(value) <= $2";

const SCAN_ASCENDING: &str = "\
    SELECT key, carried, revision, CASE WHEN carried <= $4 THEN value END \
    FROM (SELECT key, revision, value, \
              sum(octet_length(key) + octet_length(value)) \
                  OVER (ORDER BY key ASC ROWS UNBOUNDED PRECEDING) AS carried \
          FROM (SELECT key, revision, value FROM orders_state.entries \
                WHERE key >= $1 AND key < $2 ORDER BY key ASC LIMIT $3) AS page) AS found \
    WHERE carried - octet_length(key) - octet_length(value) <= $4 ORDER BY key ASC";

const SCAN_DESCENDING: &str = "\
    SELECT key, carried, revision, CASE WHEN carried <= $4 THEN value END \
    FROM (SELECT key, revision, value, \
              sum(octet_length(key) + octet_length(value)) \
                  OVER (ORDER BY key DESC ROWS UNBOUNDED PRECEDING) AS carried \
          FROM (SELECT key, revision, value FROM orders_state.entries \
                WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT $3) AS page) AS found \
    WHERE carried - octet_length(key) - octet_length(value) <= $4 ORDER BY key DESC";

/// Reads from the table.
const PROBE: &str = "SELECT EXISTS (SELECT FROM orders_state.entries WHERE key = '')";

/// `schema.rs` documents the procedure.
const COMMIT: &str = "CALL orders_state.commit_1($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL::bigint[])";

/// The prepared statements of one connection.
pub(super) struct Statements {
    pub(super) get_one: Statement,
    pub(super) get_many: Statement,
    pub(super) scan_ascending: Statement,
    pub(super) scan_descending: Statement,
    pub(super) commit: Statement,
    pub(super) probe: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        // Prepared concurrently, in one round trip.
        let (get_one, get_many, scan_ascending, scan_descending, commit, probe) = tokio::try_join!(
            client.prepare(GET_ONE),
            client.prepare(GET_MANY),
            client.prepare(SCAN_ASCENDING),
            client.prepare(SCAN_DESCENDING),
            client.prepare(COMMIT),
            client.prepare(PROBE),
        )?;
        Ok(Self { get_one, get_many, scan_ascending, scan_descending, commit, probe })
    }
}
