//! A job as it is remembered: what was asked for, how far it came, and how it ended. Written as JSON into a journal, whole
//! each time, so that the last entry of a job is all there is to know.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weft_eventlog::{Counters, Sequence};
use weft_functions::value::Namespaced;

use super::super::timestamp::rfc3339;
use crate::path::again::Kind;

/// The format of what is written, and the oldest reader that may read it.
const FORMAT: u32 = 1;

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which kind of job.
    pub kind: Kind,
    /// Whose events.
    pub trigger: Namespaced,
    /// Only the event of this id.
    pub event: Option<String>,
    /// Only events of this source.
    pub source: Option<String>,
    /// Only events for which this CESQL expression is true.
    pub filter: Option<String>,
    /// Of a replay: from which event of the topic on, and to which (exclusive).
    pub range: (Sequence, Sequence),
    /// Events per second.
    pub rate: u32,
    /// Who asked.
    pub by: String,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It hands in events.
    Running,
    /// All are handed in, and some have not ended.
    Draining,
    /// All have ended.
    Done,
    /// Somebody stopped it. What was handed in by then is delivered.
    Stopped,
    /// It cannot go on.
    Failed,
}

impl Phase {
    /// Whether the job will do no more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Stopped | Self::Failed)
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// Where a job reads on: the place after which, in which of its sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Of a redrive: the dead log of the trigger itself (0), of redriven events (1), of replayed ones (2).
    pub source: u8,
    /// The last entry or event that was looked at there.
    pub after: u64,
}

/// What a job made of the events it looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Looked at.
    pub scanned: u64,
    /// Handed in.
    pub matched: u64,
    /// Redriven before, and not again.
    pub repeated: u64,
    /// Wanted, and gone: dropped by retention or damaged.
    pub gone: u64,
}

/// A job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    format: u32,
    /// Its id: `j-1`, `j-2` …
    pub id: String,
    kind: String,
    trigger: String,
    /// Only the event of this id.
    pub event: Option<String>,
    /// Only events of this source.
    pub source: Option<String>,
    /// Only events for which this CESQL expression is true.
    pub filter: Option<String>,
    /// Of a replay: from which event of the topic on, and to which (exclusive).
    pub range: (u64, u64),
    /// Events per second.
    pub rate: u32,
    /// Who asked.
    pub by: String,
    /// When, Unix milliseconds.
    pub begun_ms: u64,
    /// When it was over.
    pub ended_ms: Option<u64>,
    /// How it stands.
    pub phase: Phase,
    /// Why it failed.
    pub why: Option<String>,
    /// How far it came.
    pub place: Place,
    /// What it did.
    pub tally: Tally,
    /// How many of the lane's events had ended as delivered, and otherwise, when it began.
    pub before: (u64, u64),
    /// The same of its own events when it was over.
    pub outcome: Option<(u64, u64)>,
}

impl Job {
    /// A job that begins now.
    pub fn new(number: u64, order: Order, begun_ms: u64, lane: &Counters) -> Self {
        let Order { kind, trigger, event, source, filter, range, rate, by } = order;
        Self {
            format: FORMAT,
            id: format!("j-{number}"),
            kind: kind.as_str().to_owned(),
            trigger: trigger.to_string(),
            event,
            source,
            filter,
            range: (range.0.get(), range.1.get()),
            rate,
            by,
            begun_ms,
            ended_ms: None,
            phase: Phase::Running,
            why: None,
            place: Place { source: 0, after: if kind == Kind::Replay { range.0.get().saturating_sub(1) } else { 0 } },
            tally: Tally::default(),
            before: ended(lane),
            outcome: None,
        }
    }

    /// The job in an entry of the journal; `None` if this version cannot read it.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let job: Self = serde_json::from_slice(bytes).ok()?;
        (job.format == FORMAT && job.number().is_some() && job.kind().is_some() && job.trigger().is_some())
            .then_some(job)
    }

    /// Its number, behind its id.
    pub fn number(&self) -> Option<u64> {
        self.id.strip_prefix("j-")?.parse().ok()
    }

    /// Which kind of job.
    pub fn kind(&self) -> Option<Kind> {
        self.kind.parse().ok()
    }

    /// Whose events.
    pub fn trigger(&self) -> Option<Namespaced> {
        self.trigger.parse().ok()
    }

    /// Whether the ids of its copies name the job, so that nobody but itself has handed them in: those of a replay, and of
    /// one event that is redriven by its id.
    pub fn names_its_copies(&self) -> bool {
        self.event.is_some() || self.kind() == Some(Kind::Replay)
    }

    /// What became of its events so far: delivered, and ended otherwise.
    pub fn outcome(&self, lane: Option<&Counters>) -> (u64, u64) {
        let so_far = |lane| {
            let (delivered, otherwise) = ended(lane);
            (delivered.saturating_sub(self.before.0), otherwise.saturating_sub(self.before.1))
        };
        self.outcome.or_else(|| lane.map(so_far)).unwrap_or_default()
    }

    /// For the admin API.
    pub fn to_json(&self, lane: Option<&Counters>) -> Value {
        let (delivered, failed) = self.outcome(lane);
        let mut job = json!({
            "id": self.id,
            "kind": self.kind,
            "trigger": self.trigger,
            "state": self.phase.as_str(),
            "by": self.by,
            "rate": self.rate,
            "begun": rfc3339(self.begun_ms),
            "scanned": self.tally.scanned,
            "matched": self.tally.matched,
            "repeated": self.tally.repeated,
            "gone": self.tally.gone,
            "delivered": delivered,
            "failed": failed,
        });
        let texts = [("event", &self.event), ("source", &self.source), ("where", &self.filter), ("why", &self.why)];
        for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?))) {
            job[name] = text.into();
        }
        if self.kind() == Some(Kind::Replay) {
            job["from"] = self.range.0.to_string().into();
            job["to"] = self.range.1.to_string().into();
        }
        if let Some(ended_ms) = self.ended_ms {
            job["ended"] = rfc3339(ended_ms).into();
        }
        job
    }
}

fn ended(lane: &Counters) -> (u64, u64) {
    (lane.delivered, lane.ended() - lane.delivered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_as_it_was_written() {
        let order = Order {
            kind: Kind::Replay,
            trigger: "shop/out".parse().expect("a name"),
            event: None,
            source: Some("/shop".to_owned()),
            filter: Some("amount > 10".to_owned()),
            range: (Sequence::new(5), Sequence::new(9)),
            rate: 100,
            by: "spiffe://weft.local/ns/default/sa/dev".to_owned(),
        };
        let lane = Counters { accepted: 9, delivered: 4, dead: 1, pending: 4, ..Counters::default() };
        let job = Job::new(7, order, 1_795_431_600_000, &lane);
        assert_eq!((job.number(), job.place), (Some(7), Place { source: 0, after: 4 }));
        let bytes = serde_json::to_vec(&job).expect("JSON");
        let read = Job::read(&bytes).expect("a job");
        assert_eq!(serde_json::to_vec(&read).expect("JSON"), bytes);
        let later = Counters { delivered: 6, dead: 2, ..lane };
        let shown = read.to_json(Some(&later));
        assert_eq!((&shown["delivered"], &shown["failed"], &shown["state"]), (&json!(2), &json!(1), &json!("running")));
        assert_eq!((&shown["from"], &shown["to"], &shown["where"]), (&json!("5"), &json!("9"), &json!("amount > 10")));
        for bad in [&b"{}"[..], b"", &bytes[..bytes.len() - 1]] {
            assert!(Job::read(bad).is_none());
        }
        let newer = String::from_utf8(bytes).expect("text").replace("\"format\":1", "\"format\":2");
        assert!(Job::read(newer.as_bytes()).is_none());
    }
}
