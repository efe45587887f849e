//! Orders. Values are parsed, not validated later: a value of one of these types satisfies the rules of the contract.
//!
//! | File | Contents |
//! |---|---|
//! | `text` | deserialization from a borrowed string |
//! | `timestamp` | `Timestamp`: the points in time that the service writes |
//! | `date_time` | `DateTime`: the points in time that clients send, in any form of RFC 3339 |
//! | `currency` | `Currency`: ISO 4217 |
//! | `fields` | the types of an order's members, each with its rule |
//! | `identity` | `OrderId` and [`Version`] |
//! | `status` | `Status` and [`Action`]: the state machine of an order |
//! | `event` | `Event`: an entry in the history of an order |
//! | `model` | `Order` and [`NewOrder`] |
//! | `transition` | `Transition`: moving an order to another status |
//! | `patch` | `Patch`: changing notes and metadata by a JSON merge patch |
//! | `decode` | the request bodies that describe a new order, a patch or a transition |

mod currency;
mod date_time;
mod decode;
mod event;
mod fields;
mod identity;
mod model;
mod patch;
mod status;
mod text;
mod timestamp;
mod transition;

pub use self::currency::Currency;
pub(crate) use self::date_time::DateTime;
pub use self::event::{Event, EventKind};
pub use self::fields::{
    Amount, Customer, Item, ItemName, Items, Metadata, MetadataName, MetadataValue, Notes, Quantity, Reason,
    Sku, Tracking, UnitPrice,
};
pub use self::identity::{OrderId, Version};
pub use self::model::{NewOrder, Order};
pub use self::patch::{MetadataPatch, Patch};
pub use self::status::{Action, Status};
pub use self::timestamp::Timestamp;
pub use self::transition::{Transition, TransitionNotAllowed};
