//! The states of a rollout and the transitions between them: one table, without data and without side effects.
//!
//! [`owner`](crate::rollout::owner) feeds it and carries out its actions, in their order. At most one thing is in progress
//! in each phase: preparing a module, a comparison, or writing the pointer, which is the file that says which module serves
//! after a restart.

use serde::{Deserialize, Serialize};

/// Where a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// There is no rollout.
    Settled,
    /// A candidate is compiled, loaded and sent its smoke requests.
    Preparing,
    /// The candidate receives its share of the requests.
    OnTrial,
    /// The pointer to the candidate is being written.
    Promoting,
    /// The same, but the candidate was withdrawn meanwhile.
    Withdrawing,
    /// The candidate serves, and is compared with its control.
    Watched,
    /// The previous module is made ready, to serve again.
    Restoring,
    /// The pointer is being written back to the serving module.
    Reverting,
    /// Writing it back failed, and is about to be repeated.
    Unrecorded,
}

/// What happens to a rollout: commands of operators, and the ends of what is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Command: roll out a module.
    Offer,
    /// Command: withdraw the candidate, or let the previous module serve again.
    RollBack,
    /// The module is ready, and is to have a trial.
    Ready,
    /// The module is ready, and is to be promoted without a trial.
    ReadyUntried,
    /// The module failed a check.
    Refused,
    /// The comparison ended, and the candidate may serve.
    Passed,
    /// The candidate is worse.
    Worse,
    /// There was too little evidence, and the terms want a rollback.
    Unproven,
    /// The pointer is written.
    Written,
    /// The pointer to the candidate is written, and no watch follows.
    WrittenUnwatched,
    /// The pointer could not be written.
    NotWritten,
    /// It is time to write the pointer again.
    Retry,
}

/// What the owner does in a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Begin to make the offered module ready.
    Prepare,
    /// Begin to make the previous module ready.
    PreparePrevious,
    /// Give the candidate its share of the requests, and begin to compare.
    StartTrial,
    /// Begin to write the pointer to the candidate.
    PointToCandidate,
    /// Begin to write the pointer to the serving module.
    PointToServing,
    /// Wait before the pointer is written again.
    WaitForRetry,
    /// Let the candidate serve. Its control keeps a share, and the comparison begins.
    Promote,
    /// Let the candidate serve, alone.
    PromoteUnwatched,
    /// The candidate receives no more requests.
    Withdraw,
    /// The previous module serves again.
    Restore,
    /// Cut the requests in flight of the candidate.
    Cut,
    /// The control receives no more requests.
    ReleaseControl,
    /// Record that the candidate was refused.
    RecordRefused,
    /// Record that the candidate was rolled back.
    RecordRolledBack,
    /// Record that the watch is over.
    RecordSettled,
    /// Answer all rollback commands: the serving module serves, now and after a restart.
    Answer,
    /// Answer all rollback commands: nothing could be done, or a restart would undo it.
    AnswerFailed,
}

/// A transition: in this phase, this input leads to that phase, with these actions.
pub type Transition = (Phase, Input, Phase, &'static [Action]);

/// All transitions. Any other input changes nothing.
pub const TRANSITIONS: [Transition; 29] = {
    use Action::*;
    use Input::*;
    use Phase::*;
    [
        (Settled, Offer, Preparing, &[Prepare]),
        (Settled, RollBack, Restoring, &[PreparePrevious]),
        (Preparing, Ready, OnTrial, &[StartTrial]),
        (Preparing, ReadyUntried, Promoting, &[PointToCandidate]),
        (Preparing, Refused, Settled, &[RecordRefused]),
        (Preparing, RollBack, Settled, &[RecordRefused, Answer]),
        (OnTrial, Passed, Promoting, &[PointToCandidate]),
        (OnTrial, Worse, Settled, &[Withdraw, Cut, RecordRolledBack]),
        (OnTrial, Unproven, Settled, &[Withdraw, RecordRolledBack]),
        (OnTrial, RollBack, Settled, &[Withdraw, RecordRolledBack, Answer]),
        (Promoting, Written, Watched, &[Promote]),
        (Promoting, WrittenUnwatched, Settled, &[PromoteUnwatched]),
        // A write that failed may still have changed the pointer.
        (Promoting, NotWritten, Reverting, &[Withdraw, RecordRolledBack, PointToServing]),
        (Promoting, RollBack, Withdrawing, &[Withdraw, RecordRolledBack]),
        (Withdrawing, Written, Reverting, &[PointToServing]),
        (Withdrawing, NotWritten, Reverting, &[PointToServing]),
        (Withdrawing, RollBack, Withdrawing, &[]),
        (Watched, Passed, Settled, &[ReleaseControl, RecordSettled]),
        (Watched, Worse, Reverting, &[Restore, Cut, RecordRolledBack, PointToServing]),
        (Watched, Unproven, Reverting, &[Restore, RecordRolledBack, PointToServing]),
        (Watched, RollBack, Reverting, &[Restore, RecordRolledBack, PointToServing]),
        (Restoring, Ready, Reverting, &[Restore, RecordRolledBack, PointToServing]),
        (Restoring, Refused, Settled, &[AnswerFailed]),
        (Restoring, RollBack, Restoring, &[]),
        (Reverting, Written, Settled, &[Answer]),
        (Reverting, NotWritten, Unrecorded, &[AnswerFailed, WaitForRetry]),
        (Reverting, RollBack, Reverting, &[]),
        (Unrecorded, Retry, Reverting, &[PointToServing]),
        (Unrecorded, RollBack, Reverting, &[PointToServing]),
    ]
};

impl Phase {
    /// The phase that follows, and what is to be done. `None` if the input changes nothing in this phase.
    pub fn next(self, input: Input) -> Option<(Self, &'static [Action])> {
        let transition = TRANSITIONS.iter().find(|(phase, on, ..)| (*phase, *on) == (self, input));
        transition.map(|(_, _, next, actions)| (*next, *actions))
    }
}
