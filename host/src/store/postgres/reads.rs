//! `get` and `scan`: one statement each, which is one snapshot and one round trip.

use tokio_postgres::Row;

use super::session::Session;
use crate::store::contract::{
    Entry, Key, MAX_TRANSFER_BYTES, Order, Revision, Scan, StoreError, Stored, Value, check_transfer,
};

/// Returns what is stored under each key.
pub(super) async fn get(session: &Session, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
    if let [key] = keys {
        let row = session.client.query_opt(&session.statements.get_one, &[&key_bytes(key)]).await?;
        return Ok(vec![row.map(|row| stored(&row, 0, 1)).transpose()?]);
    }
    let mut found = vec![None; keys.len()];
    if keys.is_empty() {
        return Ok(found);
    }
    let wanted: Vec<_> = keys.iter().map(key_bytes).collect();
    let rows = session.client.query(&session.statements.get_many, &[&wanted, &transfer_limit()]).await?;
    for row in rows {
        let number: i64 = row.try_get(0)?;
        check_row_transfer(&row)?;
        let slot = usize::try_from(number).ok().and_then(|number| found.get_mut(number.checked_sub(1)?));
        *slot.ok_or_else(foreign_data)? = Some(stored(&row, 2, 3)?);
    }
    Ok(found)
}

/// Returns the first entries of a range.
pub(super) async fn scan(session: &Session, range: &Scan) -> Result<Vec<Entry>, StoreError> {
    let statement = match range.order {
        Order::Ascending => &session.statements.scan_ascending,
        Order::Descending => &session.statements.scan_descending,
    };
    let (start, end) = (key_bytes(&range.start), key_bytes(&range.end));
    let rows =
        session.client.query(statement, &[&start, &end, &i64::from(range.limit), &transfer_limit()]).await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        check_row_transfer(&row)?;
        let key = String::from_utf8(row.try_get(0)?).map_err(|_| foreign_data())?;
        entries.push(Entry { key: Key(key), stored: stored(&row, 2, 3)? });
    }
    Ok(entries)
}

/// Checks that the server answers a read.
pub(super) async fn probe(session: &Session) -> Result<(), StoreError> {
    session.client.query_one(&session.statements.probe, &[]).await?;
    Ok(())
}

pub(super) fn key_bytes(key: &Key) -> &[u8] {
    key.as_str().as_bytes()
}

fn transfer_limit() -> i64 {
    i64::try_from(MAX_TRANSFER_BYTES).unwrap_or(i64::MAX)
}

fn check_row_transfer(row: &Row) -> Result<(), StoreError> {
    let transferred: i64 = row.try_get(1)?;
    check_transfer(usize::try_from(transferred).unwrap_or(usize::MAX))
}

fn stored(row: &Row, revision_column: usize, value_column: usize) -> Result<Stored, StoreError> {
    Ok(Stored { value: Value(row.try_get(value_column)?), revision: revision(row, revision_column)? })
}

pub(super) fn revision(row: &Row, column: usize) -> Result<Revision, StoreError> {
    let revision: i64 = row.try_get(column)?;
    u64::try_from(revision).map(Revision).map_err(|_| foreign_data())
}

pub(super) fn foreign_data() -> StoreError {
    StoreError::unavailable("the database contains data that no store has written")
}
