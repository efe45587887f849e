//! Which module serves: how a candidate is made ready, tried beside the serving module, and promoted or rolled back.
//!
//! | file | what it does |
//! |---|---|
//! | [`events`] | the steps of a module, as operators see them |
//! | [`roster`] | every known module, its state, and the events |
//! | [`history`] | what is known about modules and kept across restarts |
//! | [`archive`] | the module folder, if there is one |
//! | [`candidate`] | makes a component ready: compiled, loaded, linked, instantiated once |
//! | [`smoke`] | requests that a candidate must respond to, over a store that rejects writes |
//! | [`slot`] | which module serves, and which one is on trial |
//! | [`verdict`] | whether a candidate is worse than its control |
//! | [`trial`] | a candidate on trial, and the watch of a promoted module |
//! | [`swap`] | replaces the serving module |

pub mod archive;
pub mod candidate;
pub mod events;
pub mod history;
pub mod roster;
pub mod slot;
pub mod smoke;
pub mod swap;
pub mod trial;
pub mod verdict;
