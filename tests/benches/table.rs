//! The output: how it was run, and a table for each group of rows.

use std::fmt;
use std::process::Command;

use crate::measure::{ROUND, ROUNDS, Sample, median};

/// Rows that are compared with each other.
pub(crate) struct Table {
    pub(crate) title: &'static str,
    /// What an operation is.
    pub(crate) unit: &'static str,
    pub(crate) rows: Vec<Row>,
    /// What was done that the numbers do not say.
    pub(crate) notes: Vec<String>,
}

/// One contender.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) samples: Vec<Sample>,
    /// Whether the others are compared with it.
    pub(crate) is_baseline: bool,
}

impl Row {
    pub(crate) fn baseline(name: &'static str) -> Self {
        Self { name, samples: Vec::new(), is_baseline: true }
    }

    pub(crate) fn ours(name: &'static str) -> Self {
        Self { name, samples: Vec::new(), is_baseline: false }
    }
}

/// Load average at the start above which the machine is not quiet: somebody else works on one of its processors.
const QUIET: f64 = 0.5;

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.title)?;
        let baselines: Vec<(&str, Sample)> =
            self.rows.iter().filter(|row| row.is_baseline).map(|row| (row.name, median(&row.samples))).collect();
        write!(f, "  {:<30}{:>11}{:>21}{:>9}{:>7}", self.unit, "per second", "(min - max)", "CPU us", "busy")?;
        write!(f, "{:>9}{:>9}", "p50 us", "p99 us")?;
        baselines.iter().try_for_each(|(name, _)| write!(f, "{:>31}", format!("of {name}")))?;
        writeln!(f)?;
        for Row { name, samples, .. } in &self.rows {
            let Sample { rate, cpu, p50, p99 } = median(samples);
            let rates = || samples.iter().map(|sample| sample.rate);
            let (min, max) = (rates().fold(f64::MAX, f64::min), rates().fold(0.0, f64::max));
            let spread = format!("({min:.0} - {max:.0})");
            // A server that was not busy was waiting: for the disk, the clients, or somebody else's work.
            let busy = format!("{:.0} %", rate * cpu / 1e4);
            let timed = |micros: f64| if micros > 0.0 { format!("{micros:.0}") } else { "-".to_owned() };
            write!(f, "  {name:<30}{rate:>11.0}{spread:>21}{cpu:>9.1}{busy:>7}{:>9}{:>9}", timed(p50), timed(p99))?;
            for (_, base) in &baselines {
                let compared = format!("{:.2} rate, {:.2} CPU", rate / base.rate, cpu / base.cpu);
                write!(f, "{compared:>31}")?;
            }
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))
    }
}

/// How and where it was run.
pub(crate) fn how() -> String {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = file("/proc/cpuinfo");
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |(_, name)| name);
    let processors = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = file("/proc/sys/kernel/osrelease");
    let load = file("/proc/loadavg");
    let commit = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    // Field 41 of the stat line, counted as in proc(5); 1 and 2 are the real-time policies.
    let stat = file("/proc/self/stat");
    let policy = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(41 - 3));
    let priority = if matches!(policy, Some("1" | "2")) { "real-time" } else { "ordinary" };
    let average = load.split(' ').next().unwrap_or_default();
    let quiet = average.parse().is_ok_and(|average: f64| average <= QUIET);
    let warning = if quiet {
        ""
    } else {
        "\nTHE MACHINE IS NOT QUIET: rates, latencies and their ratios say little; CPU holds best."
    };
    format!(
        "weft {commit}, {processors} processors ({model}), Linux {}, load average at the start {average}, {priority} priority\n\
         What is measured runs on processor 0, the load generator (tests/benches/wire.rs) on processor 1. Medians of \
         {ROUNDS} alternating rounds of {} s\nwith their spread; CPU is user and kernel time of the whole process under \
         test for each operation, busy its part of a processor: a rate\nis the server's own only near 100 %. HTTP/1.1, kept alive.{warning}",
        kernel.trim(),
        ROUND.as_secs()
    )
}
