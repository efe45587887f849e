//! Fault injection: named points at which a test kills this process, as an operator or the kernel may kill it, or lets a part
//! of it panic or wait, and a clock that is wrong.
//!
//! Only builds with the feature `fault-injection` have them, and no released build does; otherwise a point does nothing. The
//! variable `ORDERS_FAULT` names the point. It is not an option, so it is read here instead of in `config`.

/// Marks the point between two steps. The process kills itself here with SIGKILL if a test has chosen this point.
#[inline]
pub fn point(name: &str) {
    #[cfg(feature = "fault-injection")]
    if std::env::var_os("ORDERS_FAULT").is_some_and(|chosen| chosen == name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    #[cfg(not(feature = "fault-injection"))]
    let _ = name;
}

/// Marks a place in a part of the process. The part panics here if a test has chosen this place, `panic:` and its name.
#[inline]
#[cfg_attr(feature = "fault-injection", allow(clippy::panic, reason = "what the test asks for"))]
pub fn panic_at(name: &str) {
    #[cfg(feature = "fault-injection")]
    if std::env::var_os("ORDERS_FAULT")
        .is_some_and(|chosen| chosen.to_str().and_then(|chosen| chosen.strip_prefix("panic:")) == Some(name))
    {
        panic!("a test has chosen to panic here");
    }
    #[cfg(not(feature = "fault-injection"))]
    let _ = name;
}

/// Marks a place at which a test may hold up this thread: `hold:`, the name of the place, `:` and a file. It goes on when the file
/// is gone.
#[inline]
pub fn hold_at(name: &str) {
    #[cfg(feature = "fault-injection")]
    if let Some(chosen) = std::env::var_os("ORDERS_FAULT")
        && let Some(held) = chosen.to_str().and_then(|chosen| chosen.strip_prefix("hold:"))
        && let Some((place, file)) = held.split_once(':')
        && place == name
    {
        while std::path::Path::new(file).exists() {
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }
    #[cfg(not(feature = "fault-injection"))]
    let _ = name;
}

/// How far a test has shifted the wall clock of components, in milliseconds: the variable `ORDERS_CLOCK_OFFSET_MS`, below zero for
/// a clock that is behind.
#[cfg(feature = "fault-injection")]
pub fn clock_offset_ms() -> Option<i64> {
    std::env::var_os("ORDERS_CLOCK_OFFSET_MS")?.to_str()?.parse().ok()
}
