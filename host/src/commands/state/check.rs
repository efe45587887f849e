//! Checks a SQLite file.

use std::time::Instant;

use crate::{
    commands::{error::CommandError, output::print},
    config::CheckConfig,
    rollout::candidate::run_blocking,
    store::{self, Checked},
};

/// Checks a file. Returns a summary of one line.
///
/// # Errors
///
/// [`CommandError::Failed`] if it is damaged, after its findings were printed; [`CommandError::CouldNotRun`] if it is not a store.
pub async fn check(config: &CheckConfig) -> Result<String, CommandError> {
    let began = Instant::now();
    let file = config.file.clone();
    let checked =
        run_blocking(async move { store::check_file(&file) }).await.map_err(CommandError::CouldNotRun)?;
    let name = config.file.display();
    match checked.map_err(CommandError::could_not_run)? {
        Checked::Whole { entries, bytes } => {
            let seconds = began.elapsed().as_secs_f64();
            Ok(format!("{name} is whole: {entries} entries, {bytes} bytes, checked in {seconds:.1} s"))
        }
        Checked::Damaged(findings) => {
            print(findings.join("\n"))?;
            Err(CommandError::Failed(format!(
                "{name} is damaged, or its log is that of another file; restore a backup, and remove the files -wal and -shm beside it"
            )))
        }
    }
}
