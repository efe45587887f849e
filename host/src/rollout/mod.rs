//! Which module serves: how a candidate becomes ready, is compared with the module that serves, and replaces it.
//!
//! | file | what it does |
//! |---|---|
//! | [`events`] | what happens to modules, as operators are told |
//! | [`kept`] | what the module folder keeps, if there is one |
//! | [`roster`] | every known module, its state and its events |
//! | [`candidate`] | a component made ready: compiled, loaded, linked, tried |
//! | [`smoke`] | requests that a candidate must answer, over a store that refuses writes |
//! | [`slot`] | which module serves, and which one is on trial |
//! | [`verdict`] | whether one module is worse than another |
//! | [`trial`] | a candidate on trial, and a module that is watched after its promotion |
//! | [`swap`] | replaces the module that serves |

pub mod candidate;
pub mod events;
pub mod kept;
pub mod roster;
pub mod slot;
pub mod smoke;
pub mod swap;
pub mod trial;
pub mod verdict;
