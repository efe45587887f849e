//! The orders component on a real store: no acknowledged change is lost, and nothing happens twice.

pub mod damage;
pub mod durability;
pub mod locations;
pub mod orders;
pub mod races;
pub mod threads;
