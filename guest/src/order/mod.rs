//! Orders. Requests are parsed, not validated later: a value of a type in `fields` satisfies the rules of the contract. What is
//! stored may be wider than that.
//!
//! | File | Contents |
//! |---|---|
//! | `timestamp` | `Timestamp`: the points in time that the service writes |
//! | `date_time` | `DateTime`: the points in time that clients send, in any form of RFC 3339 |
//! | `currency` | `Currency`: ISO 4217 |
//! | `characters` | which characters texts may have |
//! | `fields` | the types of the members of a request, each with its rule |
//! | `identity` | `OrderId` and [`Version`] |
//! | `status` | `Status` and [`Action`]: the state machine of an order |
//! | `event` | `Event`: an entry in the history of an order |
//! | `model` | `Order` and [`NewOrder`] |
//! | `transition` | `Transition`: a request to move an order to another status |
//! | `patch` | `Patch`: a JSON merge patch of notes and metadata |
//! | `stored` | `StoredOrder`: an order that any version may have written, and the changes to it |
//! | `decode` | the request bodies that describe a new order, a patch or a transition |

mod characters;
mod currency;
mod date_time;
mod decode;
mod event;
mod fields;
mod identity;
mod model;
mod patch;
mod status;
mod stored;
mod timestamp;
mod transition;

pub use self::currency::Currency;
pub(crate) use self::date_time::DateTime;
pub(crate) use self::decode::NUMBERS;
pub use self::event::{Event, EventKind};
pub use self::fields::{
    Amount, Customer, Item, ItemName, Items, Metadata, MetadataName, MetadataValue, Notes, Quantity, Reason,
    Sku, Tracking, UnitPrice,
};
pub use self::identity::{OrderId, Version};
pub use self::model::{NewOrder, Order};
pub use self::patch::{MetadataPatch, Patch};
pub use self::status::{Action, Status};
pub(crate) use self::stored::LAYOUT_MEMBER;
pub use self::stored::{ChangeError, StoredOrder};
pub use self::timestamp::Timestamp;
pub use self::transition::Transition;
