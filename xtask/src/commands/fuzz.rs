//! `cargo xtask fuzz`: the property tests of the guest that take any input, for as long as one likes.

use std::time::{Duration, Instant};

use clap::Args;

use xtask::command::{Failed, cargo, run};

/// Cases a round. Each round begins with other random numbers.
const CASES: &str = "20000";

/// For how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Minutes after which no new round begins
    #[arg(long, default_value_t = 3)]
    minutes: u64,
}

/// Runs rounds until the time is over.
///
/// # Errors
///
/// [`Failed`] as soon as a case fails; the test prints it, cut down to what matters.
pub(crate) fn all(options: &Options) -> Result<(), Failed> {
    let began = Instant::now();
    let limit = Duration::from_secs(options.minutes.saturating_mul(60));
    let mut rounds = 0;
    while rounds == 0 || began.elapsed() < limit {
        // Requests as a whole, and each parser by itself; a few ordinary tests have such names too.
        let tests =
            ["test", "--package", "orders-guest", "--locked", "--", "fuzz", "any_", "takes_", "every_"];
        run(cargo(tests).env("PROPTEST_CASES", CASES))?;
        rounds += 1;
    }
    println!("{rounds} rounds of {CASES} cases for each property, in {:.0?}", began.elapsed());
    Ok(())
}
