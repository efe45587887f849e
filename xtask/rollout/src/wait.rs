//! Waiting for what is only seen from outside.

use std::time::{Duration, Instant};

use xtask::command::{Failed, pause};

/// Asks again and again, until the answer is yes.
///
/// # Errors
///
/// [`Failed`] if it is not in time.
pub(crate) fn until(what: &str, patience: Duration, mut asked: impl FnMut() -> bool) -> Result<(), Failed> {
    let deadline = Instant::now() + patience;
    while !asked() {
        if Instant::now() > deadline {
            return Err(Failed(format!("waited {} s in vain for {what}", patience.as_secs())));
        }
        pause(Duration::from_millis(100));
    }
    Ok(())
}
