//! `cargo xtask fuzz`: runs the property tests of the guest that accept any input, for some minutes.

use std::time::{Duration, Instant};

use xtask::command::{TaskError, cargo, run};

/// Cases per round. Each round uses another random seed.
const CASES: &str = "20000";
/// Parts of the names of these tests. A few ordinary tests have such names, too.
const TESTS: [&str; 4] = ["fuzz", "any_", "takes_", "every_"];

/// Runs rounds until the time is over or a case fails. The test prints the failing case, reduced to the minimum.
pub(crate) fn run_rounds(minutes: u64) -> Result<(), TaskError> {
    let began = Instant::now();
    let limit = Duration::from_secs(minutes.saturating_mul(60));
    let mut rounds = 0;
    while rounds == 0 || began.elapsed() < limit {
        let test = cargo(["test", "--package", "orders-guest", "--locked", "--"]);
        run({ test }.args(TESTS).env("PROPTEST_CASES", CASES))?;
        rounds += 1;
    }
    println!("{rounds} rounds of {CASES} cases for each property, in {:.0?}", began.elapsed());
    Ok(())
}
