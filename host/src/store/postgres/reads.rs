//! `get` and `scan`: one statement each, which is one snapshot and one round trip.

use tokio_postgres::Row;

use super::session::Session;
use crate::store::contract::{
    Entry, Key, MAX_TRANSFER_BYTES, Order, Revision, Scan, StoreError, Stored, Value, check_transfer,
};

/// What lies under each key.
pub(super) async fn get(session: &Session, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
    if let [key] = keys {
        let row = session.client.query_opt(&session.statements.get_one, &[&bytes(key)]).await?;
        return Ok(vec![row.map(|row| stored(&row, 0, 1)).transpose()?]);
    }
    let mut found = vec![None; keys.len()];
    if keys.is_empty() {
        return Ok(found);
    }
    let wanted: Vec<_> = keys.iter().map(bytes).collect();
    let rows = session.client.query(&session.statements.get_many, &[&wanted, &limit()]).await?;
    for row in rows {
        let place: i64 = row.try_get(0)?;
        check_carried(&row)?;
        let place = usize::try_from(place).ok().and_then(|place| found.get_mut(place.checked_sub(1)?));
        *place.ok_or_else(unexpected)? = Some(stored(&row, 2, 3)?);
    }
    Ok(found)
}

/// The first entries of a range.
pub(super) async fn scan(session: &Session, wanted: &Scan) -> Result<Vec<Entry>, StoreError> {
    let statement = match wanted.order {
        Order::Ascending => &session.statements.scan_ascending,
        Order::Descending => &session.statements.scan_descending,
    };
    let (start, end) = (bytes(&wanted.start), bytes(&wanted.end));
    let rows = session.client.query(statement, &[&start, &end, &i64::from(wanted.limit), &limit()]).await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        check_carried(&row)?;
        let key = String::from_utf8(row.try_get(0)?).map_err(|_| unexpected())?;
        entries.push(Entry { key: Key(key), stored: stored(&row, 2, 3)? });
    }
    Ok(entries)
}

/// Proves that a read works.
pub(super) async fn probe(session: &Session) -> Result<(), StoreError> {
    session.client.query_one(&session.statements.probe, &[]).await?;
    Ok(())
}

pub(super) fn bytes(key: &Key) -> &[u8] {
    key.as_str().as_bytes()
}

fn limit() -> i64 {
    i64::try_from(MAX_TRANSFER_BYTES).unwrap_or(i64::MAX)
}

fn check_carried(row: &Row) -> Result<(), StoreError> {
    let carried: i64 = row.try_get(1)?;
    check_transfer(usize::try_from(carried).unwrap_or(usize::MAX))
}

fn stored(row: &Row, at: usize, value: usize) -> Result<Stored, StoreError> {
    Ok(Stored { value: Value(row.try_get(value)?), revision: revision(row, at)? })
}

pub(super) fn revision(row: &Row, at: usize) -> Result<Revision, StoreError> {
    let revision: i64 = row.try_get(at)?;
    u64::try_from(revision).map(Revision).map_err(|_| unexpected())
}

pub(super) fn unexpected() -> StoreError {
    StoreError::Unavailable("the database holds what no store has written".to_owned())
}
