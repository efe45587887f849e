//! Simulates rollouts: replays recorded requests, lets chance decide which module receives each of them, and asks the verdict
//! of the rollout. `cargo xtask rollouts` runs it beside its measurements.
//!
//! The requests come from a file: a line has the time in µs when a request was sent, its latency in µs, and `1` if it is
//! evidence for or against a module, otherwise `0`. Each simulated rollout begins at a random request, and begins the file
//! again at its end. It prints the number of each outcome.
//!
//! The steps of a rollout are those of `rollout/comparison.rs`, without its clock and its slot.

use std::{
    error::Error,
    fs,
    ops::AddAssign,
    path::PathBuf,
    thread::{self, available_parallelism},
    time::Duration,
};

use clap::Parser;

use orders_host::{
    config::{LimitsConfig, OnUnproven, Share, TermsConfig, Window},
    rollout::{
        evidence::{Evidence, Slice},
        verdict::{Criteria, NEEDED_REQUESTS, Verdict},
    },
    sandbox::tally::{Fault, StatusClass},
};

/// How often a rollout looks at the counts.
const LOOK: Duration = Duration::from_millis(100);
/// The number of looks in a second, after which a slice of evidence ends.
const LOOKS_PER_SECOND: u32 = 10;
/// How long after its deadline a request may take to be counted.
const GRACE: Duration = Duration::from_secs(1);
/// The number of requests that the control of a watch should have.
const CONTROL_REQUESTS: u64 = NEEDED_REQUESTS * 4 / 3;
/// The number of requests in which a share is exact.
const BLOCK: u64 = 100;

/// Simulates rollouts.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// The file with the requests
    requests: PathBuf,
    /// The number of rollouts
    #[arg(long, default_value_t = 10_000)]
    runs: u64,
    /// The terms of the rollout, as the host has them.
    #[command(flatten)]
    terms: TermsConfig,
    /// The limits of a request, as the host has them.
    #[command(flatten)]
    limits: LimitsConfig,
    /// What the candidate adds to each latency, in ms
    #[arg(long, default_value_t = 0, value_name = "MS")]
    delay: u64,
    /// The part of the candidate's requests that fail as follows, in percent
    #[arg(long, default_value_t = 100)]
    share: u64,
    /// The status of its response
    #[arg(long)]
    status: Option<u16>,
    /// It never responds
    #[arg(long)]
    hang: bool,
    /// It computes forever
    #[arg(long)]
    spin: bool,
}

/// A recorded request.
#[derive(Clone, Copy, Debug)]
struct Recorded {
    sent: Duration,
    latency: Duration,
    is_evidence: bool,
}

/// The numbers of rollouts with each outcome.
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    promoted: u64,
    rolled_back: u64,
    unproven: u64,
    settled: u64,
}

impl AddAssign for Outcomes {
    fn add_assign(&mut self, other: Self) {
        self.promoted += other.promoted;
        self.rolled_back += other.rolled_back;
        self.unproven += other.unproven;
        self.settled += other.settled;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let requests = read(&options)?;
    let processors = u64::try_from(available_parallelism()?.get())?;
    let simulate = |first: u64| {
        let mut outcomes = Outcomes::default();
        for seed in (0..options.runs).filter(|run| run % processors == first) {
            outcomes += Rollout::new(&options, &requests, seed).run();
        }
        outcomes
    };
    let simulate = &simulate;
    let mut total = Outcomes::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|first| scope.spawn(move || simulate(first))).collect();
        for simulated in threads {
            total += simulated.join().map_err(|_| "a simulation panicked")?;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    let Outcomes { promoted, rolled_back, unproven, settled } = total;
    println!("promoted {promoted} rolled-back {rolled_back} unproven {unproven} settled {settled}");
    Ok(())
}

/// Reads the requests, in the order in which they were sent.
fn read(options: &Options) -> Result<Vec<Recorded>, Box<dyn Error>> {
    let text = fs::read_to_string(&options.requests)?;
    let request = |line: &str| {
        let mut words = line.split(' ');
        let mut micros = || words.next()?.parse().ok().map(Duration::from_micros);
        Some(Recorded { sent: micros()?, latency: micros()?, is_evidence: words.next()? == "1" })
    };
    let requests: Option<Vec<_>> = text.lines().map(request).collect();
    let mut requests = requests.ok_or("a line does not have the form `SENT LATENCY 0|1`")?;
    requests.sort_unstable_by_key(|request| request.sent);
    if requests.len() < 2 { Err("too few requests".into()) } else { Ok(requests) }
}

/// Which module a request is assigned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Module {
    Candidate,
    Control,
}

/// What a request will be counted as.
#[derive(Clone, Copy, Debug)]
enum Response {
    Status(StatusClass),
    Fault(Fault),
}

/// A request that has been sent and is not judged yet.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    module: Module,
    sent: Duration,
    judged: Duration,
    latency: Duration,
    result: Response,
}

/// A simulated rollout.
struct Rollout<'a> {
    options: &'a Options,
    requests: &'a [Recorded],
    random: Random,
    /// The next request, and what its recorded time is to be added to.
    next: usize,
    offset: Duration,
    now: Duration,
    under_way: Vec<UnderWay>,
    /// Which module has a share of the requests, its share in percent, and how many requests of the present block were
    /// assigned, in all and to it.
    minority: Module,
    share: u64,
    block: (u64, u64),
    evidence: Evidence,
    second: Slice,
    looks: u32,
    /// Whether this evidence is too little; `None` if that is not known.
    unproven: Option<bool>,
}

impl<'a> Rollout<'a> {
    fn new(options: &'a Options, requests: &'a [Recorded], seed: u64) -> Self {
        let mut random = Random(seed);
        let next = usize::try_from(random.below(u64::try_from(requests.len()).unwrap_or(1))).unwrap_or(0);
        // The first request is sent at zero; times before it do not exist.
        let offset = requests.get(next).map(|request| request.sent).unwrap_or_default();
        Self {
            options,
            requests,
            random,
            next,
            offset: Duration::ZERO,
            now: offset,
            under_way: Vec::new(),
            minority: Module::Candidate,
            share: options.terms.canary.percent().into(),
            block: (0, 0),
            evidence: Evidence::default(),
            second: Slice::default(),
            looks: 0,
            unproven: None,
        }
    }

    fn run(mut self) -> Outcomes {
        let mut outcomes = Outcomes::default();
        let terms = &self.options.terms;
        let criteria =
            Criteria { needed_requests: NEEDED_REQUESTS, ignore_client_errors: terms.ignore_client_errors };
        let Ok(lasted) = self.trial(criteria) else { return Outcomes { rolled_back: 1, ..outcomes } };
        if self.is_rejected(criteria, &mut outcomes) {
            return outcomes;
        }
        outcomes.promoted = 1;
        if !terms.watch.0.is_zero() {
            self.begin_watch(lasted);
            let ends = self.now + terms.watch.0;
            while self.now < ends {
                if self.look(criteria) {
                    return Outcomes { rolled_back: 1, ..outcomes };
                }
            }
            if self.is_rejected(criteria, &mut outcomes) {
                return outcomes;
            }
        }
        outcomes.settled = 1;
        outcomes
    }

    /// Simulates the trial. Returns how long it lasted, or an error if a verdict ended it.
    fn trial(&mut self, criteria: Criteria) -> Result<Duration, ()> {
        let terms = &self.options.terms;
        let (began, longest) = (self.now, terms.max_window.0);
        let longest = if let Window::Time(time) = terms.window { longest.max(time.0) } else { longest };
        loop {
            let elapsed = self.now - began;
            let is_over = match terms.window {
                Window::Time(time) => elapsed >= time.0,
                Window::Requests(wanted) => self.evidence.period().candidate.requests() >= wanted.into(),
            };
            if elapsed >= longest || (is_over && !self.is_unproven(criteria)) {
                break;
            }
            if self.look(criteria) {
                return Err(());
            }
        }
        let lasted = self.now - began;
        self.share = 0;
        let latest = self.now + self.options.limits.request_timeout.0 + GRACE;
        while self.under_way.iter().any(|request| request.module == Module::Candidate) && self.now < latest {
            if self.look(criteria) {
                return Err(());
            }
        }
        Ok(lasted)
    }

    /// Whether the verdict at the end of a trial or of a watch goes against the candidate.
    fn is_rejected(&self, criteria: Criteria, outcomes: &mut Outcomes) -> bool {
        let is_rejected = match criteria.final_verdict(&self.evidence) {
            Verdict::Good => false,
            Verdict::Worse(_) => true,
            Verdict::Unproven(_) => {
                outcomes.unproven = 1;
                self.options.terms.on_unproven == OnUnproven::Rollback
            }
        };
        outcomes.rolled_back = u64::from(is_rejected);
        is_rejected
    }

    fn is_unproven(&mut self, criteria: Criteria) -> bool {
        let evidence = &self.evidence;
        let judge = || matches!(criteria.final_verdict(evidence), Verdict::Unproven(_));
        *self.unproven.get_or_insert_with(judge)
    }

    fn begin_watch(&mut self, lasted: Duration) {
        let Slice { candidate, control } = self.evidence.period();
        let had = candidate.requests() + control.requests();
        let terms = &self.options.terms;
        let expected = had * terms.watch.0.as_secs() / lasted.as_secs().max(1);
        self.minority = Module::Control;
        let needed = (100 * CONTROL_REQUESTS).div_ceil(expected.max(1));
        self.share = needed.clamp(terms.control.percent().into(), Share::HALF.percent().into());
        self.block = (0, 0);
        self.evidence.begin_period();
        // They count in the trial, which is over.
        self.under_way.clear();
        self.second = Slice::default();
        self.looks = 0;
    }

    /// Lets time pass until the next look; returns whether the verdict goes against the candidate.
    fn look(&mut self, criteria: Criteria) -> bool {
        self.now += LOOK;
        self.send();
        // Without a request, the verdict is that of the last look.
        let is_unchanged = self.under_way.is_empty();
        let now = self.now;
        let second = &mut self.second;
        self.under_way.retain(|request| {
            if request.judged > now {
                return true;
            }
            let counts = match request.module {
                Module::Candidate => &mut second.candidate,
                Module::Control => &mut second.control,
            };
            counts.add_requests(1, request.latency);
            match request.result {
                Response::Status(class) => counts.add_statuses(class, 1),
                Response::Fault(fault) => counts.add_faults(fault, 1),
            }
            false
        });
        let mut verdict = None;
        if !is_unchanged {
            self.unproven = None;
            self.evidence.update(self.latest());
            verdict = criteria.early_verdict(&self.evidence);
        }
        self.looks += 1;
        if self.looks == LOOKS_PER_SECOND {
            self.looks = 0;
            self.second = Slice::default();
            self.evidence.end_second();
        }
        verdict.is_some()
    }

    /// The counts of the present second, with the requests under way.
    fn latest(&self) -> Slice {
        let mut latest = self.second.clone();
        for request in self.under_way.iter().rev() {
            let counts = match request.module {
                Module::Candidate => &mut latest.candidate,
                Module::Control => &mut latest.control,
            };
            counts.add_under_way(self.now - request.sent, 1);
        }
        latest
    }

    /// Sends the requests that are due.
    fn send(&mut self) {
        while let Some(recorded) = self.requests.get(self.next).copied() {
            let sent = recorded.sent + self.offset;
            if sent > self.now {
                return;
            }
            self.next += 1;
            if self.next == self.requests.len() {
                self.next = 0;
                self.offset += self.length();
            }
            let module = self.assign();
            if recorded.is_evidence {
                let request = self.request(module, sent, recorded.latency);
                self.under_way.push(request);
            }
        }
    }

    /// The length of the recording: as if another request followed the last one as soon as it did the one before.
    fn length(&self) -> Duration {
        let sent = |index: usize| self.requests.get(index).map(|request| request.sent).unwrap_or_default();
        let (first, last) = (sent(0), sent(self.requests.len() - 1));
        last - first + (last - first) / u32::try_from(self.requests.len() - 1).unwrap_or(u32::MAX)
    }

    /// Chooses exactly the minority's share of each block, at random.
    fn assign(&mut self) -> Module {
        let (assigned, chosen) = self.block;
        let is_chosen = self.random.below(BLOCK - assigned) < self.share.saturating_sub(chosen);
        self.block = (assigned + 1, chosen + u64::from(is_chosen));
        if assigned + 1 == BLOCK {
            self.block = (0, 0);
        }
        match (self.minority, is_chosen) {
            (Module::Candidate, true) | (Module::Control, false) => Module::Candidate,
            (Module::Candidate, false) | (Module::Control, true) => Module::Control,
        }
    }

    fn request(&mut self, module: Module, sent: Duration, latency: Duration) -> UnderWay {
        let mut request = UnderWay {
            module,
            sent,
            judged: sent + latency,
            latency,
            result: Response::Status(StatusClass::Success),
        };
        if module == Module::Control {
            return request;
        }
        let options = self.options;
        let mut takes = |time: Duration| (request.latency, request.judged) = (time, sent + time);
        takes(latency + Duration::from_millis(options.delay));
        if self.random.below(100) >= options.share {
            return request;
        }
        if options.hang {
            takes(options.limits.request_timeout.0);
            request.result = Response::Fault(Fault::Timeout);
        } else if options.spin {
            takes(options.limits.max_cpu.0);
            request.result = Response::Fault(Fault::Cpu);
        } else if let Some(status) = options.status {
            request.result = match status {
                500.. => Response::Fault(Fault::ServerError),
                400..500 => Response::Status(StatusClass::ClientError),
                _ => Response::Status(StatusClass::Success),
            };
        }
        request
    }
}

/// Pseudo-random numbers (SplitMix64).
struct Random(u64);

impl Random {
    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}
