//! The numbers of the node, in one registry. Calls of every verb count in one family; what functions and triggers are
//! doing is read from them when somebody scrapes, so that one scrape is one consistent view.

mod triggers;

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};
use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;
use weft_runtime::ColdStart;

use self::triggers::Triggers;
use crate::path::outcome::Outcome;
use crate::path::policy::Labels;
use crate::path::snapshot::Snapshot;

/// From 50 microseconds, because a function at zero answers in a few hundred of them: the lowest bucket of Knative's
/// histogram (5 ms) would hold them all.
const SECONDS: [f64; 16] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The series of one target's calls that were let through, by verb, each found when it first counts something: looking
/// five labels up costs many times what counting does. They are of the one [`Metrics`] of the node.
#[derive(Debug, Default)]
pub struct CallSeries([OnceLock<(IntCounter, Histogram)>; Verb::ALL.len()]);

/// All metrics of the node.
pub struct Metrics {
    registry: Registry,
    calls: IntCounterVec,
    call_duration: HistogramVec,
    cold_starts: HistogramVec,
    reply_unrouted: IntCounterVec,
    decisions_unlogged: IntCounterVec,
    explained: IntCounterVec,
    guest_lines_dropped: IntCounterVec,
    function_instances: IntGaugeVec,
    triggers: Triggers,
    topic_deduplicated: IntCounterVec,
    topic_damaged: IntGaugeVec,
    topic_out_of_space: IntGaugeVec,
    scrape: Mutex<()>,
}

impl Metrics {
    /// All families, registered.
    ///
    /// # Errors
    /// A family's name or label is not valid, which a test would have found.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(&registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            registered(&registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        let seconds = |name: &str, help: &str, labels: &[&str]| {
            let opts = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            registered(&registry, HistogramVec::new(opts, labels)?)
        };
        Ok(Self {
            calls: counter(
                "weft_calls_total",
                "Calls that ended, of every verb.",
                &["verb", "namespace", "target", "verdict", "code"],
            )?,
            call_duration: seconds(
                "weft_call_duration_seconds",
                "Time from a call's arrival to the end of its answer.",
                &["verb", "namespace", "target", "verdict"],
            )?,
            cold_starts: seconds(
                "weft_cold_start_seconds",
                "Time that a call to a function at zero spent in each phase.",
                &["phase"],
            )?,
            reply_unrouted: counter(
                "weft_trigger_replies_unrouted_total",
                "Reply events that had no reply topic.",
                &["namespace", "trigger"],
            )?,
            decisions_unlogged: counter("weft_decisions_unlogged_total", "Refusals that were not written down.", &[])?,
            explained: counter("weft_explain_total", "Explanations asked for.", &["what"])?,
            guest_lines_dropped: counter(
                "weft_function_log_lines_dropped_total",
                "Lines of a function's output beyond what it may write.",
                &["namespace", "function"],
            )?,
            function_instances: gauge(
                "weft_function_instances",
                "Live stores of a function, plus one while it is loaded and idle.",
                &["namespace", "function"],
            )?,
            topic_deduplicated: counter(
                "weft_topic_events_deduplicated_total",
                "Events that were accepted before and not kept again.",
                &["namespace", "topic"],
            )?,
            triggers: Triggers::new(&registry)?,
            topic_damaged: gauge(
                "weft_topic_events_damaged",
                "Events that the disk has lost; describe and the log name them.",
                &["namespace", "topic"],
            )?,
            topic_out_of_space: gauge(
                "weft_topic_out_of_space",
                "1 while no events are taken in because the disk is full.",
                &["namespace", "topic"],
            )?,
            scrape: Mutex::default(),
            registry,
        })
    }

    /// Counts one finished call.
    pub fn call(&self, labels: &Labels, outcome: &Outcome, duration: Duration) {
        let found;
        let (calls, durations) = match labels.series().filter(|_| outcome.failure.is_none()) {
            Some(series) => series.0[labels.verb as usize].get_or_init(|| self.series(labels, outcome)),
            None => {
                found = self.series(labels, outcome);
                &found
            }
        };
        calls.inc();
        durations.observe(duration.as_secs_f64());
    }

    fn series(&self, labels: &Labels, outcome: &Outcome) -> (IntCounter, Histogram) {
        let verdict = outcome.verdict().as_str();
        let (verb, namespace, target) = (labels.verb.as_str(), labels.namespace(), labels.target());
        (
            self.calls.with_label_values(&[verb, namespace, target, verdict, outcome.code()]),
            self.call_duration.with_label_values(&[verb, namespace, target, verdict]),
        )
    }

    /// Records where a cold start's time went.
    pub fn cold_start(&self, phases: &ColdStart) {
        for (phase, duration) in [
            ("queue", phases.queue),
            ("load", phases.load),
            ("instantiate", phases.instantiate),
            ("first_byte", phases.first_byte),
        ] {
            self.cold_starts.with_label_values(&[phase]).observe(duration.as_secs_f64());
        }
    }

    /// Counts a reply event that had nowhere to go (`REPLY_UNROUTED`).
    pub fn reply_unrouted(&self, trigger: &Namespaced) {
        self.reply_unrouted.with_label_values(&[trigger.namespace.as_str(), trigger.name.as_str()]).inc();
    }

    /// Counts a refusal or failure that is not written down.
    pub fn decision_not_logged(&self) {
        self.decisions_unlogged.with_label_values::<&str>(&[]).inc();
    }

    /// Counts an explanation.
    pub fn explained(&self, what: &'static str) {
        self.explained.with_label_values(&[what]).inc();
    }

    /// Counts lines of a guest's output that were not written.
    pub fn guest_lines_dropped(&self, namespace: &str, function: &str, lines: u64) {
        self.guest_lines_dropped.with_label_values(&[namespace, function]).inc_by(lines);
    }

    /// Everything in Prometheus' text format 0.0.4, with functions and triggers as `snapshot` has them now.
    pub fn render(&self, snapshot: &Snapshot) -> String {
        // One scrape at a time: the families filled here are emptied first.
        let _one = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.read_functions(snapshot);
        self.triggers.read(snapshot);
        self.read_topics(snapshot);
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "cannot write metrics");
        }
        String::from_utf8(text).unwrap_or_default()
    }

    fn read_functions(&self, snapshot: &Snapshot) {
        self.function_instances.reset();
        for (name, function) in &snapshot.functions {
            let gauge = self.function_instances.with_label_values(&[name.namespace.as_str(), name.name.as_str()]);
            gauge.set(i64::from(function.revision.stats().instances));
        }
    }

    fn read_topics(&self, snapshot: &Snapshot) {
        self.topic_deduplicated.reset();
        self.topic_damaged.reset();
        self.topic_out_of_space.reset();
        for (name, topic) in &snapshot.topics {
            let (labels, stats) = ([name.namespace.as_str(), name.name.as_str()], topic.log.stats());
            self.topic_deduplicated.with_label_values(&labels).inc_by(stats.deduplicated);
            self.topic_damaged.with_label_values(&labels).set(i64::try_from(stats.quarantined).unwrap_or(i64::MAX));
            self.topic_out_of_space.with_label_values(&labels).set(i64::from(stats.out_of_space));
        }
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, family: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
