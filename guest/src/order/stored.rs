//! Stored orders: wider than what a request may say, because another version of the service may have written them.
//!
//! A change sets the members that it is about. All others keep their text, at every level. The rules for requests do not apply to
//! what is stored, and a status that this version does not know allows no action.

use super::event::{Event, EventKind};
use super::fields::{Metadata, Reason, Tracking};
use super::identity::{OrderId, Version};
use super::patch::{MetadataPatch, Patch};
use super::status::{Action, Status};
use super::timestamp::Timestamp;
use super::transition::Transition;
use crate::json::Object;

/// The member of a record that contains the number of its layout. Clients never see it.
pub(crate) const LAYOUT_MEMBER: &str = "layout";

/// Whether orders have the members `tracking` and `reason`.
const HAS_TRACKING: bool = !cfg!(feature = "previous");

/// A stored order.
#[derive(Debug, Clone)]
pub struct StoredOrder {
    id: OrderId,
    status: String,
    version: Version,
    /// The layout of the record, which only grows: a version that knows less has kept what it does not know.
    layout: u32,
    /// Every member but the layout.
    members: Object,
}

/// Why an order was not changed.
#[derive(Debug)]
pub enum ChangeError {
    /// The status of the order does not allow the action.
    NotAllowed {
        /// The present status.
        status: String,
        /// The actions that it allows.
        allowed: &'static [Action],
    },
    /// The transition has happened, with another value of this member.
    HappenedOtherwise {
        /// The present status.
        status: Status,
        /// `tracking` or `reason`.
        member: &'static str,
    },
    /// The metadata would break this rule.
    Metadata(&'static str),
    /// The changed order cannot be serialized, which is not expected for any order.
    Encoding(serde_json::Error),
}

impl From<serde_json::Error> for ChangeError {
    fn from(error: serde_json::Error) -> Self {
        Self::Encoding(error)
    }
}

/// An order after a change, with the event to record; `None` if nothing changes.
type Changed = Option<(StoredOrder, Event)>;

impl StoredOrder {
    /// Reads the record of an order.
    ///
    /// # Errors
    /// What is wrong: the record is not a JSON object with an id, a status and a version.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut members = Object::read(text).map_err(|error| error.to_string())?;
        let id = members.text("id").and_then(|id| OrderId::parse(&id)).ok_or("it has no id")?;
        let status = members.text("status").ok_or("it has no status")?.into_owned();
        let version = members.get("version").and_then(|version| serde_json::from_str(version).ok());
        let version = version.ok_or("it has no version")?;
        let layout = members.get(LAYOUT_MEMBER).and_then(|layout| layout.parse().ok()).unwrap_or(1);
        members.remove(LAYOUT_MEMBER);
        Ok(Self { id, status, version, layout, members })
    }

    /// Writes the record, with its layout or this one, whichever is later.
    ///
    /// # Errors
    /// The name of a member cannot be serialized, which is not expected for any name.
    pub(crate) fn write(&self, layout: u32) -> serde_json::Result<String> {
        match self.layout.max(layout) {
            1 => self.members.write(""),
            layout => self.members.write(&format!("\"{LAYOUT_MEMBER}\":{layout},")),
        }
    }

    /// Identifies the order.
    #[must_use]
    pub const fn id(&self) -> OrderId {
        self.id
    }

    /// The status, which this version may not know.
    #[must_use]
    pub fn status(&self) -> &str {
        &self.status
    }

    /// The number of the present version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Who ordered, if that is a text.
    #[must_use]
    pub fn customer(&self) -> Option<String> {
        self.members.text("customer").map(Into::into)
    }

    /// Applies a transition. A repetition of the one that has led to the present status changes nothing if it says the same; a
    /// shipped order that has no `tracking` gets a first one.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn apply_transition(&self, transition: &Transition, now: Timestamp) -> Result<Changed, ChangeError> {
        let Transition { action, tracking, reason } = transition;
        let target = action.target();
        if self.status == target.name() {
            return self.repeat_transition(transition, target, now);
        }
        let allowed = Status::from_name(&self.status).map_or(&[][..], Status::allowed_actions);
        if !allowed.contains(action) {
            return Err(ChangeError::NotAllowed { status: self.status.clone(), allowed });
        }
        let (mut order, event) = self.next(EventKind::for_action(*action), now)?;
        target.name().clone_into(&mut order.status);
        order.members.set_text("status", target.name())?;
        if let Some(tracking) = tracking.as_ref().filter(|_| HAS_TRACKING) {
            order.members.set_text("tracking", tracking.as_str())?;
        }
        if let Some(reason) = reason.as_ref().filter(|_| HAS_TRACKING) {
            order.members.set_text("reason", reason.as_str())?;
        }
        Ok(Some((order, Event { tracking: tracking.clone(), reason: reason.clone(), ..event })))
    }

    fn repeat_transition(
        &self,
        transition: &Transition,
        status: Status,
        now: Timestamp,
    ) -> Result<Changed, ChangeError> {
        let Transition { tracking, reason, .. } = transition;
        if !HAS_TRACKING {
            return Ok(None);
        }
        let says =
            |member, text: Option<&str>| text.is_none() || self.members.text(member).as_deref() == text;
        if !says("reason", reason.as_ref().map(Reason::as_str)) {
            return Err(ChangeError::HappenedOtherwise { status, member: "reason" });
        }
        if says("tracking", tracking.as_ref().map(Tracking::as_str)) {
            return Ok(None);
        }
        if self.members.get("tracking").is_some_and(|present| present != "null") {
            return Err(ChangeError::HappenedOtherwise { status, member: "tracking" });
        }
        let (mut order, event) = self.next(EventKind::Updated, now)?;
        order.members.set_text("tracking", tracking.as_ref().map_or("", Tracking::as_str))?;
        Ok(Some((order, Event { tracking: tracking.clone(), changed: vec!["tracking"], ..event })))
    }

    /// Applies a patch.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn apply_patch(&self, patch: &Patch, now: Timestamp) -> Result<Changed, ChangeError> {
        let (mut order, event) = self.next(EventKind::Updated, now)?;
        let mut changed = Vec::new();
        match &patch.notes {
            Some(Some(notes)) if self.members.text("notes").as_deref() != Some(notes.as_str()) => {
                order.members.set_text("notes", notes.as_str())?;
                changed.push("notes");
            }
            Some(None) if self.members.get("notes").is_some() => {
                order.members.remove("notes");
                changed.push("notes");
            }
            _ => {}
        }
        let metadata_changed = match &patch.metadata {
            None => false,
            Some(MetadataPatch::Remove) => {
                order.members.remove("metadata");
                self.members.get("metadata").is_some()
            }
            Some(MetadataPatch::Merge(changes)) => {
                let before = self.members.object("metadata");
                let mut merged = before.clone().unwrap_or_else(Object::empty);
                let mut differs = before.is_none();
                for (name, value) in changes {
                    let name = name.as_str();
                    match value {
                        Some(value) if merged.text(name).as_deref() == Some(value.as_str()) => continue,
                        Some(value) => merged.set_text(name, value.as_str())?,
                        None if merged.get(name).is_none() => continue,
                        None => merged.remove(name),
                    }
                    differs = true;
                }
                // Another version may allow more: what is stored may stay, but not grow.
                if !Metadata::allows(merged.len()) && merged.len() > before.map_or(0, |before| before.len()) {
                    return Err(ChangeError::Metadata(Metadata::RULE));
                }
                if differs {
                    order.members.set("metadata", merged.write("")?)?;
                }
                differs
            }
        };
        if metadata_changed {
            changed.push("metadata");
        }
        Ok((!changed.is_empty()).then_some((order, Event { changed, ..event })))
    }

    /// The next version of the order, and its event. `updated_at` never decreases, even if the clock goes backwards.
    fn next(&self, kind: EventKind, now: Timestamp) -> Result<(Self, Event), ChangeError> {
        let before = self.members.text("updated_at").and_then(|time| Timestamp::parse(&time));
        let updated_at = before.map_or(now, |before| before.max(now));
        let mut order = self.clone();
        order.version = self.version.next();
        order.members.set("version", order.version.to_string())?;
        order.members.set_text("updated_at", &updated_at.to_string())?;
        let event = Event::new(order.version, kind, updated_at);
        Ok((order, event))
    }
}
