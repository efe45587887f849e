//! Exports a [`Store`] as a component: converts between the interface's generated types and those of [`crate::contract`].

use crate::{
    bindings::exports::orders::state::store as wit,
    contract::{Check, Error, Order, Outcome, Scan, Store, Stored, Write},
};

/// Turns the crate into a component that exports `orders:state/store`. The arguments are the type of the store and a
/// constant expression that creates it; each instance has one store.
#[macro_export]
macro_rules! adapter {
    ($store:ty, $new:expr) => {
        ::std::thread_local! {
            static STORE: ::std::cell::RefCell<$store> = const { ::std::cell::RefCell::new($new) };
        }

        /// The implementation of the exported interface.
        struct Adapter;

        const _: () = {
            use $crate::{bindings::exports::orders::state::store as wit, component};

            impl wit::Guest for Adapter {
                fn get(keys: Vec<String>) -> Result<Vec<Option<wit::Stored>>, wit::Error> {
                    STORE.with_borrow_mut(|store| component::get(store, &keys))
                }

                fn scan(
                    start: String,
                    end: String,
                    limit: u32,
                    order: wit::Order,
                ) -> Result<Vec<wit::Entry>, wit::Error> {
                    STORE.with_borrow_mut(|store| component::scan(store, start, end, limit, order))
                }

                fn commit(
                    checks: Vec<wit::Check>,
                    writes: Vec<wit::Write>,
                ) -> Result<wit::Outcome, wit::Error> {
                    STORE.with_borrow_mut(|store| component::commit(store, checks, writes))
                }
            }
        };

        #[allow(unsafe_code, reason = "the component model's calling convention passes memory by address")]
        mod exported {
            use $crate::bindings::export_store;

            use super::Adapter;

            export_store!(Adapter with_types_in $crate::bindings);
        }
    };
}

/// Handles a `get` call.
///
/// # Errors
/// Any error of the store.
pub fn get(store: &mut impl Store, keys: &[String]) -> Result<Vec<Option<wit::Stored>>, wit::Error> {
    let to_wit = |stored: Stored| wit::Stored { value: stored.value, revision: stored.revision };
    Ok(store.get(keys)?.into_iter().map(|stored| stored.map(to_wit)).collect())
}

/// Handles a `scan` call.
///
/// # Errors
/// Any error of the store.
pub fn scan(
    store: &mut impl Store,
    start: String,
    end: String,
    limit: u32,
    order: wit::Order,
) -> Result<Vec<wit::Entry>, wit::Error> {
    let order = match order {
        wit::Order::Ascending => Order::Ascending,
        wit::Order::Descending => Order::Descending,
    };
    let entries = store.scan(&Scan { start, end, limit, order })?.into_iter();
    Ok(entries
        .map(|entry| wit::Entry {
            key: entry.key,
            value: entry.stored.value,
            revision: entry.stored.revision,
        })
        .collect())
}

/// Handles a `commit` call.
///
/// # Errors
/// Any error of the store.
pub fn commit(
    store: &mut impl Store,
    checks: Vec<wit::Check>,
    writes: Vec<wit::Write>,
) -> Result<wit::Outcome, wit::Error> {
    let checks: Vec<_> = checks
        .into_iter()
        .map(|check| match check {
            wit::Check::Absent(key) => Check::Absent(key),
            wit::Check::AtRevision((key, revision)) => Check::AtRevision(key, revision),
        })
        .collect();
    let writes = writes
        .into_iter()
        .map(|write| match write {
            wit::Write::Put((key, value)) => Write::Put(key, value),
            wit::Write::Delete(key) => Write::Delete(key),
        })
        .collect();
    Ok(match store.commit(&checks, writes)? {
        Outcome::Committed(revision) => wit::Outcome::Committed(revision),
        Outcome::Conflict(index) => wit::Outcome::Conflict(index),
    })
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(why) => Self::Unavailable(why),
            Error::TooLarge(what) => Self::TooLarge(what),
            Error::InvalidKey(which) => Self::InvalidKey(which),
        }
    }
}
