//! Parts without which the process cannot do its work.

/// Ends the process if the part that owns this panics: whoever started the process starts it again, and until then nothing
/// waits for a part that is gone. What was acknowledged is on disk. The panic's message is on standard error already.
#[derive(Debug)]
pub struct Essential(pub &'static str);

impl Drop for Essential {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Not the log, whose thread would have to run for it.
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("{} panicked; the process ends, to be started again\n", self.0).as_bytes(),
            );
            std::process::abort();
        }
    }
}
