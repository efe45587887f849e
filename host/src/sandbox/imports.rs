//! The host side of `orders:state/store`: each call of the guest becomes one call of [`Store`].

use std::{fmt, future::Future};

use wasmtime::component::{HasData, Linker};

use crate::{
    sandbox::tally::CountedRequest,
    store::{
        Check, Commit, Key, Order, Outcome, Revision, Scan, Store, StoreError, Value, Write,
        check_item_count, check_key_count,
    },
};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/state",
        inline: "package orders:host; world imports { import orders:state/store@0.1.0; }",
        world: "orders:host/imports",
        imports: { default: async | trappable },
    });
}

use bindings::orders::state::store as wit;

/// Links `orders:state/store`. `view` returns the store from the state of an instance.
///
/// # Errors
///
/// If the linker already contains `orders:state/store`.
pub fn add_to_linker<T: Send>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> StateView<'_>,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, State>(linker, view)
}

/// The store, borrowed from an instance's state for one call.
#[allow(missing_debug_implementations, reason = "a borrowed trait object")]
pub struct StateView<'a> {
    /// The store that executes the call.
    pub store: &'a dyn Store,
    /// The request that makes the call.
    pub request: Option<&'a CountedRequest>,
}

/// Connects [`StateView`] to the generated bindings.
struct State;

impl HasData for State {
    type Data<'a> = StateView<'a>;
}

impl wit::Host for StateView<'_> {
    async fn get(
        &mut self,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Option<wit::Stored>>, wit::Error>> {
        answer(self.look_up(keys).await)
    }

    async fn scan(
        &mut self,
        start: String,
        end: String,
        limit: u32,
        order: wit::Order,
    ) -> wasmtime::Result<Result<Vec<wit::Entry>, wit::Error>> {
        answer(self.read_range(start, end, limit, order).await)
    }

    async fn commit(
        &mut self,
        checks: Vec<wit::Check>,
        writes: Vec<wit::Write>,
    ) -> wasmtime::Result<Result<wit::Outcome, wit::Error>> {
        answer(self.apply(checks, writes).await)
    }
}

/// Ends the call of a component whose store has failed: the component would ask the client to try again, which does not help.
#[derive(Debug)]
pub struct StoreFailed;

impl fmt::Display for StoreFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store has failed")
    }
}

impl std::error::Error for StoreFailed {}

/// What the component gets. A failure that does not pass by itself ends its call.
fn answer<T>(result: Result<T, StoreError>) -> wasmtime::Result<Result<T, wit::Error>> {
    match result {
        Err(error) if error.persists() => Err(wasmtime::Error::new(StoreFailed)),
        result => Ok(result.map_err(wit::Error::from)),
    }
}

impl StateView<'_> {
    async fn wait<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match self.request {
            Some(request) => request.wait_for_store(call).await,
            None => call.await,
        }
    }

    async fn look_up(&self, keys: Vec<String>) -> Result<Vec<Option<wit::Stored>>, StoreError> {
        check_key_count(keys.len())?;
        let keys = keys.into_iter().map(Key::try_from).collect::<Result<_, _>>()?;
        let found = self.wait(self.store.get(keys)).await?;
        Ok(found
            .into_iter()
            .map(|stored| {
                stored.map(|stored| wit::Stored {
                    value: stored.value.into_bytes(),
                    revision: stored.revision.0,
                })
            })
            .collect())
    }

    async fn read_range(
        &self,
        start: String,
        end: String,
        limit: u32,
        order: wit::Order,
    ) -> Result<Vec<wit::Entry>, StoreError> {
        let order = match order {
            wit::Order::Ascending => Order::Ascending,
            wit::Order::Descending => Order::Descending,
        };
        let scan = Scan::new(start.try_into()?, end.try_into()?, limit, order)?;
        let entries = self.wait(self.store.scan(scan)).await?;
        Ok(entries
            .into_iter()
            .map(|entry| wit::Entry {
                key: entry.key.into_string(),
                value: entry.stored.value.into_bytes(),
                revision: entry.stored.revision.0,
            })
            .collect())
    }

    async fn apply(
        &self,
        checks: Vec<wit::Check>,
        writes: Vec<wit::Write>,
    ) -> Result<wit::Outcome, StoreError> {
        check_item_count(checks.len().saturating_add(writes.len()))?;
        let checks = checks.into_iter().map(Check::try_from).collect::<Result<_, _>>()?;
        let writes = writes.into_iter().map(Write::try_from).collect::<Result<_, _>>()?;
        let outcome = self.wait(self.store.commit(Commit::new(checks, writes)?)).await?;
        Ok(match outcome {
            Outcome::Committed(revision) => wit::Outcome::Committed(revision.0),
            // Lossless: a commit has at most a few hundred checks.
            Outcome::Conflict(index) => wit::Outcome::Conflict(u32::try_from(index).unwrap_or(u32::MAX)),
        })
    }
}

impl TryFrom<wit::Check> for Check {
    type Error = StoreError;

    fn try_from(check: wit::Check) -> Result<Self, StoreError> {
        Ok(match check {
            wit::Check::Absent(key) => Self::Absent(key.try_into()?),
            wit::Check::AtRevision((key, revision)) => Self::AtRevision(key.try_into()?, Revision(revision)),
        })
    }
}

impl TryFrom<wit::Write> for Write {
    type Error = StoreError;

    fn try_from(write: wit::Write) -> Result<Self, StoreError> {
        Ok(match write {
            wit::Write::Put((key, value)) => Self::Put(key.try_into()?, Value::try_from(value)?),
            wit::Write::Delete(key) => Self::Delete(key.try_into()?),
        })
    }
}

impl From<StoreError> for wit::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => Self::Unavailable(why.to_string()),
            StoreError::TooLarge(what) => Self::TooLarge(what),
            StoreError::InvalidKey(what) => Self::InvalidKey(what),
        }
    }
}
