//! Which module serves: how a candidate is made ready, tried beside the serving module, and promoted or rolled back.
//!
//! | file | what it does |
//! |---|---|
//! | [`events`] | the steps of a module, as operators see them |
//! | `step_log` | the log lines of these steps |
//! | [`roster`] | every known module, its state, and the events |
//! | [`history`] | what is known about modules and kept across restarts |
//! | [`archive`] | the module folder, if there is one |
//! | [`candidate`] | makes a component ready: compiled, loaded, linked, instantiated once |
//! | [`smoke`] | requests that a candidate must respond to, over a store that rejects writes |
//! | `share` | which requests a module with a share of them receives |
//! | [`slot`] | which modules receive requests |
//! | [`evidence`] | what two modules did with the requests of the same time |
//! | `proportions` | the exact test of two proportions |
//! | [`verdict`] | whether a candidate is worse than its control |
//! | [`comparison`] | a trial, and the watch of a promoted module |
//! | [`machine`] | the states of a rollout, and the transitions between them |
//! | [`offer`] | modules that are offered for a rollout, one at a time |
//! | [`owner`] | the only task that changes which module serves |
//! | `actions` | what the owner does in a transition |
//! | [`environment`] | what takes time in a rollout |
//! | [`reload`] | reads the component again after a SIGHUP |
//! | [`keeper`] | saves that after each change |
//! | [`handle`] | what operators use: the state, and the commands |

mod actions;
pub mod archive;
pub mod candidate;
pub mod comparison;
pub mod environment;
pub mod events;
pub mod evidence;
pub mod handle;
pub mod history;
pub mod keeper;
pub mod machine;
pub mod offer;
pub mod owner;
mod proportions;
pub mod reload;
pub mod roster;
mod share;
pub mod slot;
pub mod smoke;
mod step_log;
pub mod verdict;
