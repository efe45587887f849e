//! The model of a history: the calls as recorded, and the search for one sequence of commits that explains them.

use std::collections::BTreeMap;

use orders_host::store::{Check, Entry, Key, Order, Revision, Stored, Write};

/// One recorded call. The times are ticks of one counter: a call that ended before another began has a smaller
/// `ended` than that one's `began`.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) result: CallResult,
}

#[derive(Debug)]
pub(crate) enum CallResult {
    Got { keys: Vec<Key>, found: Vec<Option<Stored>> },
    Scanned { start: Key, end: Key, limit: u32, order: Order, entries: Vec<Entry> },
    Committed { checks: Vec<Check>, writes: Vec<Write>, revision: Revision },
    Conflicted { checks: Vec<Check>, index: usize },
}

/// The expected contents of the store after some of the commits.
type Model = BTreeMap<Key, Stored>;

fn holds(model: &Model, check: &Check) -> bool {
    match check {
        Check::Absent(key) => !model.contains_key(key),
        Check::AtRevision(key, revision) => model.get(key).is_some_and(|stored| stored.revision == *revision),
    }
}

/// Whether a call that wrote nothing is consistent with this state.
fn agrees(model: &Model, result: &CallResult) -> bool {
    match result {
        CallResult::Got { keys, found } => {
            keys.iter().map(|key| model.get(key)).eq(found.iter().map(Option::as_ref))
        }
        CallResult::Scanned { start, end, limit, order, entries } => {
            let inside = model.iter().filter(|(key, _)| *start <= **key && *key < end);
            let mut expected: Vec<_> =
                inside.map(|(key, stored)| Entry { key: key.clone(), stored: stored.clone() }).collect();
            if *order == Order::Descending {
                expected.reverse();
            }
            expected.truncate(usize::try_from(*limit).unwrap());
            expected == *entries
        }
        CallResult::Conflicted { checks, index } => {
            checks.iter().position(|check| !holds(model, check)) == Some(*index)
        }
        CallResult::Committed { .. } => false,
    }
}

/// Whether the calls could have happened one after another: the commits in the order of their revisions, every other
/// call at some point between them, and none before a call that had ended when it began.
pub(crate) fn verify(calls: &[Call]) -> Result<(), String> {
    let (commits, models) = replay(calls)?;
    let mut others: Vec<_> =
        calls.iter().filter(|call| !matches!(call.result, CallResult::Committed { .. })).collect();
    others.sort_unstable_by_key(|call| call.began);
    // In the order in which they began, each call takes the earliest possible point. Every call that ended before
    // another began has its point by then, and a later point would only narrow the choice for the rest.
    let mut points: Vec<(u64, usize)> = Vec::new();
    for call in others {
        let committed =
            commits.iter().rposition(|commit| commit.ended < call.began).map_or(0, |before| before + 1);
        let read = points.iter().filter(|(ended, _)| *ended < call.began).map(|(_, point)| *point);
        let lowest = read.max().unwrap_or(0).max(committed);
        let highest = commits.iter().position(|commit| commit.began > call.ended).unwrap_or(commits.len());
        let point = (lowest..=highest)
            .find(|point| agrees(&models[*point], &call.result))
            .ok_or_else(|| format!("no state from commit {lowest} to commit {highest} explains {call:#?}"))?;
        points.push((call.ended, point));
    }
    Ok(())
}

/// Returns the commits by revision, and the state before the first and after each of them.
fn replay(calls: &[Call]) -> Result<(Vec<&Call>, Vec<Model>), String> {
    let mut commits: Vec<_> = calls
        .iter()
        .filter_map(|call| match &call.result {
            CallResult::Committed { checks, writes, revision } => Some((*revision, checks, writes, call)),
            _ => None,
        })
        .collect();
    commits.sort_unstable_by_key(|(revision, ..)| *revision);
    let mut models = vec![Model::new()];
    let mut last = Revision(0);
    let mut latest_beginning = 0;
    for (revision, checks, writes, call) in &commits {
        if *revision <= last {
            return Err(format!("two commits have the revision {revision:?}"));
        }
        if call.ended < latest_beginning {
            return Err(format!("a commit that began after this one ended has a lower revision: {call:#?}"));
        }
        last = *revision;
        latest_beginning = latest_beginning.max(call.began);
        let mut model = models[models.len() - 1].clone();
        if let Some(check) = checks.iter().find(|check| !holds(&model, check)) {
            return Err(format!("{check:?} did not hold for {call:#?}"));
        }
        for write in *writes {
            match write {
                Write::Put(key, value) => {
                    model.insert(key.clone(), Stored { value: value.clone(), revision: *revision });
                }
                Write::Delete(key) => {
                    model.remove(key);
                }
            }
        }
        models.push(model);
    }
    Ok((commits.into_iter().map(|(.., call)| call).collect(), models))
}
