//! When requests are due. A schedule depends on nothing that the service does.

use std::time::Duration;

use super::random::Random;

/// How long a spike lasts.
const SPIKE: Duration = Duration::from_millis(300);
/// The pause between two spikes: at least and at most.
const CALM: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// The rate of requests over time, in requests per second.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Schedule {
    /// Requests at equal intervals.
    Steady(u32),
    /// Spikes at random moments, with another rate between them.
    Spikes { calm: u32, spike: u32 },
}

impl Schedule {
    /// When each request is due, since the beginning. It never ends.
    pub(crate) fn due_times(self, seed: u64) -> impl Iterator<Item = Duration> {
        let mut random = Random(seed);
        let [shortest, longest] = CALM;
        let mut next_spike = random.between(shortest, longest);
        let mut due = Duration::ZERO;
        std::iter::from_fn(move || {
            let this = due;
            if this >= next_spike + SPIKE {
                next_spike = this + random.between(shortest, longest);
            }
            let rate = match self {
                Self::Spikes { spike, .. } if this >= next_spike => spike,
                Self::Spikes { calm: rate, .. } | Self::Steady(rate) => rate,
            };
            due += Duration::from_secs(1) / rate.max(1);
            Some(this)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(schedule: Schedule, seconds: u64) -> Vec<Duration> {
        schedule.due_times(1).take_while(|due| *due < Duration::from_secs(seconds)).collect()
    }

    #[test]
    fn steady_requests_have_equal_intervals() {
        let due = within(Schedule::Steady(200), 2);
        assert_eq!(due.len(), 400);
        assert!(due.windows(2).all(|pair| pair[1] - pair[0] == Duration::from_millis(5)));
    }

    #[test]
    fn spikes_have_a_higher_rate_for_a_short_time() {
        let due = within(Schedule::Spikes { calm: 10, spike: 1_000 }, 100);
        let spiking = due.windows(2).filter(|pair| pair[1] - pair[0] == Duration::from_millis(1)).count();
        // A spike begins with the first request that is due after its beginning.
        let spikes = spiking / 200;
        assert!((20..=100).contains(&spikes), "{spikes} spikes");
        assert!(spiking <= spikes * 301 && due.len() - spiking < 1_000, "{spiking} of {}", due.len());
    }
}
