//! Points at which a test has this process killed, as an operator or the kernel may kill it.
//!
//! Only with the feature `fault-injection`, which no program that is shipped has: without it a point is nothing. With it
//! `ORDERS_FAULT` names the point. That is no option, so it is read here, and only here, instead of in `config`.

/// A step is done and the next has not begun: if a test has named this point, the process ends here, by SIGKILL.
#[inline]
pub fn point(name: &str) {
    #[cfg(feature = "fault-injection")]
    if std::env::var_os("ORDERS_FAULT").is_some_and(|chosen| chosen == name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    #[cfg(not(feature = "fault-injection"))]
    let _ = name;
}
