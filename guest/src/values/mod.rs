//! Small value types that know nothing about orders.
//!
//! | File | Contents |
//! |---|---|
//! | `ascii` | `AsciiText`: ASCII text of bounded length, written without allocating |
//! | `uuid` | `Uuid`: versions 4 and 7, and their one text form |
//! | `digest` | `Digest`: a truncated SHA-256 |

mod ascii;
mod digest;
mod uuid;

pub(crate) use self::ascii::AsciiText;
pub(crate) use self::digest::Digest;
pub use self::uuid::Uuid;
