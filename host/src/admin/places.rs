//! The places of operators' requests. Each purpose leaves some to the more urgent ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, StatusCode};

use super::response::ApiError;

/// Maximum number of operators' requests at once.
pub(super) const MAX_PLACES: usize = 32;
/// Places that only a rollback may take. Whatever other clients do, it gets through: its response is so small that the
/// kernel takes all of it, so a rollback occupies a place only while the service carries it out.
const ROLLBACK_PLACES: usize = 4;
/// Places that only commands may take: the clients that read, and may do so slowly, are not among them. One command receives
/// or reads a component; a second one is rejected at once.
const COMMAND_PLACES: usize = 8;
/// Maximum number of clients that follow events. They stay; the rest is left to requests that end.
const MAX_FOLLOWERS: usize = 16;
/// After how many seconds a request that finds no place may try again. The others last this long, or not at all.
const RETRY_AFTER_SECONDS: u64 = 1;
/// The same for a client that wants to follow events.
const FOLLOWERS_RETRY_AFTER_SECONDS: u64 = 5;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To follow the events.
    Follow,
    /// To read anything else.
    Read,
    /// Every command but a rollback.
    Command,
    /// A rollback.
    RollBack,
}

impl Purpose {
    /// The purpose of a request, whether or not it will be accepted.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        match path {
            "/v1/events" if method == Method::GET => Self::Follow,
            "/v1/rollback" if method == Method::POST => Self::RollBack,
            _ if method == Method::GET => Self::Read,
            _ => Self::Command,
        }
    }

    /// How many places may be taken, this one included.
    fn limit(self) -> usize {
        match self {
            Self::RollBack => MAX_PLACES,
            Self::Command => MAX_PLACES - ROLLBACK_PLACES,
            Self::Read | Self::Follow => MAX_PLACES - ROLLBACK_PLACES - COMMAND_PLACES,
        }
    }
}

/// The places of operators' requests.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    followers: usize,
}

impl Places {
    /// Takes a place.
    ///
    /// # Errors
    ///
    /// 503 if none is left for this purpose.
    pub(super) fn take(self: &Arc<Self>, purpose: Purpose) -> Result<Place, ApiError> {
        let mut taken = self.taken();
        let follows = purpose == Purpose::Follow;
        if follows && taken.followers >= MAX_FOLLOWERS {
            let detail = format!(
                "{MAX_FOLLOWERS} clients already follow events, which is the maximum: try again later, or use GET /v1/modules."
            );
            return Err(full(detail, FOLLOWERS_RETRY_AFTER_SECONDS));
        }
        if taken.all >= purpose.limit() {
            let kept = match purpose {
                Purpose::RollBack => "",
                Purpose::Command => "; the remaining places are kept for rollbacks",
                Purpose::Read | Purpose::Follow => {
                    "; the remaining places are kept for commands and rollbacks"
                }
            };
            let detail = format!(
                "The admin API already handles {} requests, {} of them to follow events{kept}. Try again in a moment.",
                taken.all, taken.followers
            );
            return Err(full(detail, RETRY_AFTER_SECONDS));
        }
        taken.all += 1;
        taken.followers += usize::from(follows);
        Ok(Place { follows, places: Arc::clone(self) })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn full(detail: String, retry_after: u64) -> ApiError {
    ApiError { retry_after: Some(retry_after), ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
}

/// The place of one request; free once this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    follows: bool,
    places: Arc<Places>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all = taken.all.saturating_sub(1);
        taken.followers = taken.followers.saturating_sub(usize::from(self.follows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all places that are left for this purpose.
    fn take_all(places: &Arc<Places>, purpose: Purpose) -> (Vec<Place>, ApiError) {
        let mut taken = Vec::new();
        loop {
            match places.take(purpose) {
                Ok(place) => taken.push(place),
                Err(error) => return (taken, error),
            }
        }
    }

    #[test]
    fn each_purpose_leaves_places_to_the_more_urgent_ones() {
        let places = Arc::new(Places::default());
        let mut kept = Vec::new();
        for (purpose, expected, retry_after, says) in [
            (Purpose::Follow, 16, 5, "16 clients already follow events"),
            (
                Purpose::Read,
                4,
                1,
                "The admin API already handles 20 requests, 16 of them to follow events; the remaining",
            ),
            (Purpose::Command, 8, 1, "The admin API already handles 28 requests"),
            (Purpose::RollBack, 4, 1, "The admin API already handles 32 requests"),
        ] {
            let (taken, error) = take_all(&places, purpose);
            assert_eq!(taken.len(), expected, "{purpose:?}");
            assert_eq!((error.status.as_u16(), error.retry_after), (503, Some(retry_after)));
            assert!(error.detail.starts_with(says), "{}", error.detail);
            kept.push(taken);
        }
        kept.remove(0);
        let (taken, error) = take_all(&places, Purpose::Follow);
        assert_eq!((taken.len(), error.retry_after), (4, Some(1)));
        drop(taken);
        kept.clear();
        assert_eq!(take_all(&places, Purpose::Read).0.len(), 20);
        assert_eq!(take_all(&places, Purpose::RollBack).0.len(), 32);
    }

    #[test]
    fn a_request_has_one_purpose() {
        for (method, path, purpose) in [
            (Method::GET, "/v1/events", Purpose::Follow),
            (Method::GET, "/v1/rollback", Purpose::Read),
            (Method::GET, "/v1/modules", Purpose::Read),
            (Method::PUT, "/v1/modules", Purpose::Command),
            (Method::PUT, "/v1/events", Purpose::Command),
            (Method::POST, "/v1/rollback", Purpose::RollBack),
            (Method::POST, "/v1/rollback/", Purpose::Command),
        ] {
            assert_eq!(Purpose::of(&method, path), purpose, "{method} {path}");
        }
    }
}
