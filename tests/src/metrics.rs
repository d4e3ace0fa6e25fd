//! Metrics as Prometheus reads them.

use std::collections::BTreeMap;

/// One scrape.
#[derive(Debug, Default)]
pub struct Scrape {
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// What a trigger's events came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriggerCounts {
    /// Events it has to bring to an end.
    pub accepted: u64,
    /// Events that have not come to one.
    pub pending: u64,
    /// Events by terminal state.
    pub ended: BTreeMap<String, u64>,
}

impl TriggerCounts {
    /// How many ended in `state`.
    pub fn in_state(&self, state: &str) -> u64 {
        self.ended.get(state).copied().unwrap_or(0)
    }

    /// Whether every accepted event is accounted for.
    pub fn is_conserved(&self) -> bool {
        self.accepted == self.ended.values().sum::<u64>() + self.pending
    }
}

impl Scrape {
    /// Reads Prometheus' text format 0.0.4. Label values of ours have no escapes.
    pub fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self { samples: lines.map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line}"))).collect() }
    }

    /// The value of the one series that has these labels, among others.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.matching(name, labels).map(|sample| sample.value);
        let first = found.next();
        assert!(found.next().is_none(), "more than one series of {name} has {labels:?}");
        first
    }

    /// The sum over all series that have these labels, as a whole number.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.matching(name, labels).map(|sample| whole(sample.value)).sum()
    }

    /// What the events of a trigger in the namespace `default` came to.
    pub fn trigger(&self, name: &str) -> TriggerCounts {
        let labels = [("namespace", "default"), ("trigger", name)];
        let states = self.matching("weft_trigger_events_total", &labels);
        TriggerCounts {
            accepted: self.sum("weft_trigger_events_accepted_total", &labels),
            pending: self.sum("weft_trigger_events_pending", &labels),
            ended: states.map(|sample| (sample.labels["state"].clone(), whole(sample.value))).collect(),
        }
    }

    /// The names of all triggers that have counters.
    pub fn triggers(&self) -> Vec<String> {
        let accepted = self.matching("weft_trigger_events_accepted_total", &[]);
        accepted.map(|sample| sample.labels["trigger"].clone()).collect()
    }

    fn matching<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Sample> {
        let has = |sample: &&Sample| {
            labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|found| found == value))
        };
        self.samples.iter().filter(move |sample| sample.name == name).filter(has)
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    let pairs = labels.split(',').filter(|pair| !pair.is_empty());
    let labels = pairs.map(|pair| {
        let (label, value) = pair.split_once('=')?;
        Some((label.to_owned(), value.trim_matches('"').to_owned()))
    });
    Some(Sample { name: name.to_owned(), labels: labels.collect::<Option<_>>()?, value: value.parse().ok()? })
}

fn whole(value: f64) -> u64 {
    assert!(value >= 0.0 && value.fract() == 0.0, "{value} is not a count");
    value as u64
}
