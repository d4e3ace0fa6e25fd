//! Events that a trigger gets once more because somebody asked for it: redriven ones, that had ended without being
//! delivered, and replayed ones, of the past. Each kind has a lane of its own beside the trigger: a small topic into which
//! jobs copy events, and a position in it. So they are kept, tried again, counted and given up like all others, and never
//! stand in the way of live ones.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use weft_eventlog::{
    Consumer, Durability, EventLog, LogError, Record, Sequence, Start, Topic as TopicLog, TopicConfig, WhenFull,
};
use weft_functions::event::Event;
use weft_functions::value::Namespaced;

/// How long a lane keeps what has ended, and recognises that an entry of a dead log was redriven before.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Bytes of a lane at most; jobs wait for room long before.
const LANE_BYTES: u64 = 256 << 20;

/// Bytes of a lane's segment.
const SEGMENT_BYTES: u64 = 8 << 20;

/// Why an event is delivered once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It had ended dead, denied or expired.
    Redrive,
    /// It is of the past.
    Replay,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Redrive, Self::Replay];

    /// The word for it: in labels, in jobs, in names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Replay => "replay",
        }
    }

    /// The attribute that such an event carries; its value is the job.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Redrive => "weftredrive",
            Self::Replay => "weftreplay",
        }
    }

    /// The name of a trigger's lane in the log. No topic or trigger of a person's has a name like this.
    pub fn lane_of(self, trigger: &Namespaced) -> String {
        format!("{trigger}/{}", self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// What is written beside a copied event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Why it was copied.
    pub kind: Kind,
    /// By which job.
    pub job: String,
    /// The event's place in the trigger's topic.
    pub source: Sequence,
}

impl Mark {
    /// The mark of a record in a lane.
    pub fn of(record: &Record) -> Option<Self> {
        let mut parts = record.subject.split(' ');
        let (kind, job, source) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { kind: kind.parse().ok()?, job: job.to_owned(), source: source.parse().ok()? })
    }

    /// The event as it is delivered, judged and filtered: one that says that it comes again.
    pub fn on(&self, event: Event) -> Event {
        let plain = event.clone();
        // A job's id is a valid value; without the mark the event would still be the event.
        event.with_extension(self.kind.attribute(), self.job.clone()).unwrap_or(plain)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind.as_str(), self.job, self.source)
    }
}

/// A lane: what is in it, and how far it was delivered.
pub struct Lane {
    /// The copies.
    pub log: Arc<dyn TopicLog>,
    /// The position.
    pub consumer: Arc<dyn Consumer>,
}

/// The lanes of one trigger. They are made when they are needed first.
#[derive(Default)]
pub struct Again {
    lanes: [OnceLock<Lane>; Kind::ALL.len()],
}

impl Again {
    /// The lane, if there is one.
    pub fn lane(&self, kind: Kind) -> Option<&Lane> {
        self.lanes[kind as usize].get()
    }

    /// All lanes there are.
    pub fn lanes(&self) -> impl Iterator<Item = (Kind, &Lane)> {
        Kind::ALL.into_iter().filter_map(|kind| Some((kind, self.lane(kind)?)))
    }

    /// Opens the lane, and makes it if there is none.
    ///
    /// # Errors
    /// The log cannot.
    pub async fn open(&self, log: &dyn EventLog, trigger: &Namespaced, kind: Kind) -> Result<&Lane, LogError> {
        let cell = &self.lanes[kind as usize];
        if let Some(lane) = cell.get() {
            return Ok(lane);
        }
        let name = kind.lane_of(trigger);
        let topic = log.topic(&name, config()).await?;
        let consumer = log.consumer(&name, &name, Start::Beginning).await?;
        // Opened twice at once it is the same lane.
        Ok(cell.get_or_init(|| Lane { log: topic, consumer }))
    }

    /// Opens the lanes that are there already; `consumers` are the names of all positions in the log.
    ///
    /// # Errors
    /// The log cannot.
    pub async fn reopen(&self, log: &dyn EventLog, trigger: &Namespaced, consumers: &[String]) -> Result<(), LogError> {
        for kind in Kind::ALL {
            if consumers.contains(&kind.lane_of(trigger)) {
                self.open(log, trigger, kind).await?;
            }
        }
        Ok(())
    }

    /// Deletes the lanes of a trigger that is gone, with what is in them.
    ///
    /// # Errors
    /// The log cannot; what is left goes the next time.
    pub async fn delete(log: &dyn EventLog, trigger: &Namespaced) -> Result<(), LogError> {
        let consumers = log.consumers().await?;
        for name in Kind::ALL.map(|kind| kind.lane_of(trigger)) {
            if consumers.contains(&name) {
                // A position can be deleted once its topic is open.
                log.topic(&name, config()).await?;
                log.delete_consumer(&name).await?;
            }
            log.delete_topic(&name).await?;
        }
        Ok(())
    }
}

fn config() -> TopicConfig {
    TopicConfig {
        durability: Durability::Strict,
        retention_age: KEPT,
        retention_bytes: LANE_BYTES,
        full: WhenFull::Refuse,
        dedupe_window: KEPT,
        segment_bytes: SEGMENT_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use weft_eventlog::{MemoryLog, NewRecord};

    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = Mark { kind: Kind::Replay, job: "j-7".to_owned(), source: Sequence::new(42) };
        let of = |subject: &str| {
            Mark::of(&Record {
                sequence: Sequence::FIRST,
                admitted_ms: 0,
                dedupe: None,
                key: None,
                subject: subject.to_owned(),
                headers: Vec::new(),
                body: bytes::Bytes::new(),
            })
        };
        assert_eq!(of(&mark.to_string()), Some(mark.clone()));
        for other in ["", "order.created", "replay", "replay j-7", "replay j-7 x", "copy j-7 42"] {
            assert_eq!(of(other), None, "{other}");
        }
        let event = Event::builder().id("1").source("/s").ty("t").build().expect("an event");
        assert_eq!(mark.on(event).extension("weftreplay"), Some("j-7"));
    }

    #[tokio::test]
    async fn lanes_are_made_once_found_again_and_deleted() {
        let log = MemoryLog::default();
        let trigger: Namespaced = "shop/out".parse().expect("a name");
        let again = Again::default();
        assert_eq!(again.lanes().count(), 0);
        let lane = again.open(&log, &trigger, Kind::Redrive).await.expect("a lane");
        lane.log.append(vec![NewRecord::default()]).await.expect("appended");
        let found = Again::default();
        let consumers = log.consumers().await.expect("names");
        assert_eq!(consumers, ["shop/out/redrive"]);
        found.reopen(&log, &trigger, &consumers).await.expect("reopened");
        let kinds: Vec<_> = found.lanes().map(|(kind, lane)| (kind, lane.consumer.counters().pending)).collect();
        assert_eq!(kinds, [(Kind::Redrive, 1)]);
        Again::delete(&log, &trigger).await.expect("deleted");
        Again::delete(&log, &trigger).await.expect("nothing is there");
        assert!(log.consumers().await.expect("names").is_empty());
    }
}
