//! The modules of the power test: a good one, for comparison, and bad ones.

/// A module to roll out.
pub(super) struct Candidate {
    pub(super) name: &'static str,
    /// How long the module before it takes to respond, and how long it takes itself, in ms.
    waits: [u32; 2],
    /// What it does besides: words of the fixture `behaves`.
    words: &'static str,
    /// It computes forever, and has to be the only one that does.
    pub(super) computes: bool,
}

const fn candidate(name: &'static str, words: &'static str) -> Candidate {
    Candidate { name, waits: [0, 0], words, computes: false }
}

/// The rows of the power test.
pub(super) const CANDIDATES: [Candidate; 10] = [
    candidate("the same", ""),
    candidate("fails 5 %", "share=5 status=500"),
    candidate("fails 20 %", "share=20 status=500"),
    candidate("fails 100 %", "status=500"),
    Candidate { waits: [25, 50], ..candidate("twice as slow", "") },
    Candidate { waits: [25, 250], ..candidate("ten times as slow", "") },
    candidate("404 instead of 200", "status=404"),
    candidate("hangs", "hang"),
    Candidate { computes: true, ..candidate("loops", "spin") },
    Candidate { computes: true, ..candidate("eats memory, then loops", "eat=56") },
];

impl Candidate {
    /// The words of the module before it, and its own.
    pub(super) fn behaviours(&self) -> [String; 2] {
        let wait = |wait| if wait == 0 { String::new() } else { format!("wait={wait} ") };
        let [before, own] = self.waits.map(wait);
        [before, own + self.words]
    }

    /// Its behaviour as options of the simulation, which has no memory to eat.
    pub(super) fn simulated(&self) -> Vec<String> {
        let [before, own] = self.waits;
        let words = self.words.split_whitespace();
        let words = words.map(|word| if word.starts_with("eat") { "spin" } else { word });
        let delay = own.saturating_sub(before);
        words.map(|word| format!("--{word}")).chain([format!("--delay={delay}")]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_candidate_has_one_behaviour_in_the_component_and_in_the_simulation() {
        let of = |name: &str| CANDIDATES.iter().find(|candidate| candidate.name == name).unwrap();
        assert_eq!(of("the same").behaviours(), ["", ""]);
        assert_eq!(of("the same").simulated(), ["--delay=0"]);
        assert_eq!(of("twice as slow").behaviours(), ["wait=25 ", "wait=50 "]);
        assert_eq!(of("twice as slow").simulated(), ["--delay=25"]);
        assert_eq!(of("fails 5 %").behaviours(), ["", "share=5 status=500"]);
        assert_eq!(of("fails 5 %").simulated(), ["--share=5", "--status=500", "--delay=0"]);
        assert_eq!(of("eats memory, then loops").simulated(), ["--spin", "--delay=0"]);
    }
}
