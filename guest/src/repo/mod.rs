//! The repository: what is stored under which key, and what is committed together.
//!
//! One commit contains every change to an order: the order itself, its index entries and its event. There are no locks: the
//! checks of a commit fail if another request has committed first.
//!
//! | Key | Value |
//! |---|---|
//! | `o/{id}` | the order as JSON, with the number of its layout; ids are version 7 UUIDs, so the keys sort by creation time |
//! | `s/{status}/{id}` | empty: the index by status |
//! | `c/{digest of the customer}/{id}` | empty: the index by customer |
//! | `cs/{digest of the customer}/{status}/{id}` | empty: the index by both, which the next version reads |
//! | `e/{id}/{seq}` | an event as JSON; `seq` is decimal, padded to 20 digits |
//! | `i/{digest of method, path and key}` | the response under an idempotency key: [`StoredResponse`] |
//! | `x/{expiry}/{the same digest}` | empty: the queue of stored responses by expiry in milliseconds, padded to 15 digits |
//! | `l/index` | as JSON, for each index that came later: since which layout it is written, and how far it is filled |
//! | `l/sweep` | the time in milliseconds, decimal: the queue has no entry that expires earlier |
//!
//! | File | Contents |
//! |---|---|
//! | `error` | `RepoError` |
//! | `id_range` | `IdRange`: a range of order ids, by time or by page; [`Sort`] |
//! | `keys` | the spelling of keys; [`RequestDigest`] |
//! | `records` | `OrderRecord`: the stored form of orders and events, and what clients receive of it |
//! | `orders` | `OrderRepo`: finding, creating and changing one order |
//! | `indexes` | indexes that came later than orders, filled beside requests |
//! | `idempotency` | `StoredResponse`: responses under idempotency keys, and their removal |
//! | `pages` | `Filter`: lists of orders and events, page by page |

mod error;
mod id_range;
mod idempotency;
mod indexes;
mod keys;
mod orders;
mod pages;
mod records;

pub(crate) use self::error::RepoError;
pub(crate) use self::id_range::{IdRange, Sort};
pub(crate) use self::idempotency::{ExpiredResponse, KeyLookup, KeyedOutcome, StoredResponse};
pub(crate) use self::keys::RequestDigest;
pub(crate) use self::orders::{FoundOrder, OrderRepo, WriteOutcome};
pub(crate) use self::pages::{Filter, PageEnd};
pub(crate) use self::records::{OrderHead, OrderRecord};
