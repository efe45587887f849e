//! The orders component over a real store: nothing acknowledged is lost, nothing is done twice.

pub mod durability;
pub mod orders;
pub mod races;
