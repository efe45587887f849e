//! Indexes that came later than orders: filled slice by slice, beside requests.
//!
//! While two versions run on one store, or after a rollback, an older version writes orders without a new index. So the version that
//! introduces an index only writes it, and the next one reads it: then every version that may run maintains it. Before it reads,
//! that version passes over all orders once more, because the one before it may have run beside one that did not know the index.

use super::error::RepoError;
use super::id_range::{IdRange, Sort};
use super::keys::{INDEXES, customer_status_key, order_key, orders};
use super::orders::OrderRepo;
use super::records::{CUSTOMER_STATUS_SINCE, LAYOUT, OrderView, WRITES_CUSTOMER_STATUS};
use crate::json::Object;
use crate::order::{LAYOUT_MEMBER, OrderId, Timestamp};
use crate::store::{Check, Direction, Write};

/// By how much the clocks of hosts may differ, in milliseconds.
const MAX_CLOCK_DIFFERENCE_MS: u64 = 60_000;

/// The orders of one slice: the largest of them fit into what one call transfers.
const SLICE: u32 = 25;

/// The name, in the state, of the index by customer and status.
const CUSTOMER_STATUS: &str = "cs";

/// How far an index is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// The layout of the version that passes over the orders, or has done so.
    by: u32,
    /// The last order of the slices so far.
    after: Option<OrderId>,
    /// Where the pass ends, so that it ends although new orders keep coming: those have their entries from the beginning.
    until: OrderId,
    complete: bool,
}

impl Progress {
    /// Reads the progress of an index. One that cannot be read is taken for none, so that the pass begins anew.
    fn read(state: &Object, index: &str) -> Option<Self> {
        let progress = state.object(index)?;
        let by = progress.get("by")?.parse().ok()?;
        let id = |name| progress.text(name).and_then(|id| OrderId::parse(&id));
        Some(Self {
            by,
            after: id("after"),
            until: id("until")?,
            complete: progress.get("complete") == Some("true"),
        })
    }

    fn write(self, since: u32) -> String {
        let Self { by, after, until, complete } = self;
        let after = after.map_or_else(String::new, |id| format!("\"after\":\"{id}\","));
        format!("{{\"since\":{since},\"by\":{by},{after}\"until\":\"{until}\",\"complete\":{complete}}}")
    }
}

impl OrderRepo<'_> {
    /// Whether this version may read the index by customer and status.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(super) fn can_read_customer_status(&self) -> Result<bool, RepoError> {
        if CUSTOMER_STATUS_SINCE >= LAYOUT {
            return Ok(false);
        }
        let stored = self.store.get(vec![INDEXES.to_owned()])?.into_iter().next().flatten();
        let progress = stored.and_then(|stored| Progress::read(&state(&stored.value), CUSTOMER_STATUS));
        Ok(progress.is_some_and(|progress| progress.by == LAYOUT && progress.complete))
    }

    /// Adds the next slice of orders to the index by customer and status, unless it is complete. Another request may do the same at
    /// the same time: then one of them does it.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn fill_indexes(&self, now: Timestamp) -> Result<(), RepoError> {
        if !WRITES_CUSTOMER_STATUS {
            return Ok(());
        }
        let stored = self.store.get(vec![INDEXES.to_owned()])?.into_iter().next().flatten();
        let check = match &stored {
            None => Check::Absent(INDEXES.to_owned()),
            Some(stored) => Check::AtRevision(INDEXES.to_owned(), stored.revision),
        };
        let mut state = stored.map_or_else(Object::empty, |stored| state(&stored.value));
        let mut progress = match Progress::read(&state, CUSTOMER_STATUS) {
            // A later version makes its own pass.
            Some(progress) if progress.by > LAYOUT || progress.by == LAYOUT && progress.complete => {
                return Ok(());
            }
            Some(progress) if progress.by == LAYOUT => progress,
            _ => {
                let until = OrderId::lower_bound_at(now.unix_ms() + MAX_CLOCK_DIFFERENCE_MS);
                Progress { by: LAYOUT, after: None, until, complete: false }
            }
        };
        let (mut checks, mut writes) = (vec![check], Vec::new());
        progress.after = self.index_slice(progress, &mut checks, &mut writes)?;
        progress.complete = progress.after.is_none();
        let encoded = state.set(LAYOUT_MEMBER, LAYOUT.to_string());
        let encoded =
            encoded.and_then(|()| state.set(CUSTOMER_STATUS, progress.write(CUSTOMER_STATUS_SINCE)));
        let encoded = encoded.and_then(|()| state.write(""));
        let encoded = encoded.map_err(|error| RepoError::corrupt(INDEXES, &error))?;
        writes.push(Write::Put(INDEXES.to_owned(), encoded.into_bytes()));
        self.commit(checks, writes).map(drop)
    }

    /// Collects the checks and writes that index the next orders. Returns the last of them; `None` if there are no more.
    fn index_slice(
        &self,
        progress: Progress,
        checks: &mut Vec<Check>,
        writes: &mut Vec<Write>,
    ) -> Result<Option<OrderId>, RepoError> {
        let all = IdRange { start: OrderId::lower_bound_at(0), end: Some(progress.until) };
        let ids = progress.after.map_or(all, |after| all.after(after, Sort::OldestFirst));
        let (mut limit, range) = (SLICE, orders().range(ids));
        let entries = loop {
            match self.store.scan(&range, limit, Direction::Ascending).map_err(RepoError::from) {
                // Records of a later version may be larger.
                Err(RepoError::TooLarge(_)) if limit > 1 => limit /= 2,
                scanned => break scanned?,
            }
        };
        let has_more = u32::try_from(entries.len()).is_ok_and(|count| count == limit);
        let mut last = None;
        for entry in entries {
            let Some(id) = orders().parse_id(&entry.key) else { continue };
            last = Some(id);
            // What cannot be read is not listed either.
            let Ok(view) = OrderView::read(&entry.key, &entry.stored.value) else { continue };
            if let Some(customer) = view.customer() {
                checks.push(Check::AtRevision(order_key(id), entry.stored.revision));
                writes.push(Write::Put(customer_status_key(&customer, view.status(), id), Vec::new()));
            }
        }
        Ok(last.filter(|_| has_more))
    }
}

/// The state of the indexes. One that cannot be read is taken for none, so that the pass begins anew.
fn state(value: &[u8]) -> Object {
    std::str::from_utf8(value).ok().and_then(|text| Object::read(text).ok()).unwrap_or_else(Object::empty)
}
