//! What triggers make of their events: read when somebody scrapes, from the books that the log keeps, so that they outlive
//! the process and balance in every scrape.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::time::Instant;
use weft_eventlog::Terminal;

use super::registered;
use crate::path::circuit::{Cause, Standing};
use crate::path::snapshot::Snapshot;

/// The families of triggers.
pub(super) struct Triggers {
    accepted: IntCounterVec,
    events: IntCounterVec,
    pending: IntGaugeVec,
    paused: IntGaugeVec,
    pauses: IntCounterVec,
}

impl Triggers {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let gauge = |name: &str, help: &str| {
            registered(registry, IntGaugeVec::new(Opts::new(name, help), &["namespace", "trigger"])?)
        };
        Ok(Self {
            accepted: counter(
                "weft_trigger_events_accepted_total",
                "Events that a trigger has to bring to a terminal state, and why it got them.",
                &["namespace", "trigger", "cause"],
            )?,
            events: counter(
                "weft_trigger_events_total",
                "Events that reached a terminal state.",
                &["namespace", "trigger", "state"],
            )?,
            pending: gauge("weft_trigger_events_pending", "Events that have not reached a terminal state.")?,
            paused: gauge(
                "weft_trigger_paused",
                "1 while the trigger leaves its target alone: the target is not there, or fails whatever it is given.",
            )?,
            pauses: counter(
                "weft_trigger_pauses_total",
                "How often a trigger began to leave its target alone, and why.",
                &["namespace", "trigger", "cause"],
            )?,
        })
    }

    /// Fills the families with what the triggers of this snapshot say now.
    pub(super) fn read(&self, snapshot: &Snapshot) {
        self.accepted.reset();
        self.events.reset();
        self.pending.reset();
        self.paused.reset();
        self.pauses.reset();
        let now = Instant::now();
        for (name, trigger) in &snapshot.triggers {
            let (namespace, name) = (name.namespace.as_str(), name.name.as_str());
            let mut counters = trigger.consumer.counters();
            self.accepted.with_label_values(&[namespace, name, "live"]).inc_by(counters.accepted);
            for (kind, lane) in trigger.again.lanes() {
                let lane = lane.consumer.counters();
                self.accepted.with_label_values(&[namespace, name, kind.as_str()]).inc_by(lane.accepted);
                counters = counters + lane;
            }
            self.pending.with_label_values(&[namespace, name]).set(counters.pending as i64);
            for state in Terminal::ALL {
                self.events.with_label_values(&[namespace, name, state.name()]).inc_by(counters.of(state));
            }
            let paused = trigger.circuit.standing(now) != Standing::Closed;
            self.paused.with_label_values(&[namespace, name]).set(i64::from(paused));
            for cause in Cause::ALL {
                let pauses = self.pauses.with_label_values(&[namespace, name, cause.as_str()]);
                pauses.inc_by(trigger.circuit.opened(cause));
            }
        }
    }
}
