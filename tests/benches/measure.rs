//! From measurements to numbers: what one round gave, and the medians of several.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::server::cpu_micros;
use crate::wire::{Clients, Load};

/// Rounds of each contender, alternating, so that what else the machine does hits all of them alike.
pub(crate) const ROUNDS: usize = 5;
/// Length of a round. The clock of processor time ticks every 10 ms: 0.5 % of this.
pub(crate) const ROUND: Duration = Duration::from_secs(2);
/// Load before the rounds, not counted.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// What one round gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Operations in a second.
    pub(crate) rate: f64,
    /// Microseconds of the server's processor time for each operation.
    pub(crate) cpu: f64,
    /// Microseconds that half of the operations took at most; 0 if they were not timed.
    pub(crate) p50: f64,
    /// Microseconds that 99 of 100 operations took at most.
    pub(crate) p99: f64,
}

impl Sample {
    /// From a load and the processor time it took, in microseconds.
    pub(crate) fn of(load: Load, cpu: f64) -> Self {
        let Load { elapsed, mut latencies } = load;
        latencies.sort_unstable();
        let at = |part: f64| {
            let index = ((latencies.len() as f64 * part) as usize).min(latencies.len() - 1);
            latencies[index].as_secs_f64() * 1e6
        };
        let count = latencies.len() as f64;
        Self { rate: count / elapsed.as_secs_f64(), cpu: cpu / count, p50: at(0.5), p99: at(0.99) }
    }

    /// A round of clients against a process.
    pub(crate) async fn round(clients: &mut Clients, pid: u32) -> Self {
        let before = cpu_micros(pid);
        let load = clients.run(ROUND).await;
        Self::of(load, cpu_micros(pid) - before)
    }
}

/// Four numbers, for a program that measures itself.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.rate, self.cpu, self.p50, self.p99)
    }
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[rate, cpu, p50, p99]) => Ok(Self { rate, cpu, p50, p99 }),
            _ => Err(format!("not a sample: {text}")),
        }
    }
}

/// The median of each number by itself.
pub(crate) fn median(samples: &[Sample]) -> Sample {
    let middle = |number: fn(&Sample) -> f64| {
        let mut numbers: Vec<f64> = samples.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    Sample {
        rate: middle(|sample| sample.rate),
        cpu: middle(|sample| sample.cpu),
        p50: middle(|sample| sample.p50),
        p99: middle(|sample| sample.p99),
    }
}
